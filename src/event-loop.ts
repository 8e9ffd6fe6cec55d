/** @file Long work on the JavaScript thread, cut into pieces that leave the event loop to others. */

/** A turn of the event loop should stay well below the 10 ms that this package promises. */
const pieceMs = 4

/** Entries of simple loops between two looks at the clock: a tenth of a millisecond or so. */
const pieceLength = 1 << 14

/** Works through `length` entries, some at a time: `work` gets [from, to) again and again, the event loop its turns between. */
export async function inPieces(length: number, turn: Turn, work: (from: number, to: number) => void): Promise<void> {
  for (let from = 0; from < length; from += pieceLength) {
    work(from, Math.min(length, from + pieceLength))
    await turn.breathe()
  }
}

/** Index of the first NaN or infinity, -1 where there is none; the event loop has its turns. */
export async function firstNotFinite(values: Float32Array): Promise<number> {
  let first = -1
  await inPieces(values.length, new Turn(), (from, to) => {
    for (let i = from; i < to && first < 0; i++) if (!Number.isFinite(values[i])) first = i
  })
  return first
}

/** What a generator returns at last; the event loop has its turns between its steps. */
export async function inTurns<T>(steps: Generator<void, T>, turn: Turn): Promise<T> {
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
    await turn.breathe()
  }
}

/** Made at the start of a stretch of work; `breathe` gives the event loop a turn when this one has lasted long enough. */
export class Turn {
  #start = performance.now()

  async breathe(): Promise<void> {
    if (performance.now() - this.#start < pieceMs) return
    await new Promise(setImmediate)
    this.#start = performance.now()
  }
}
