/** @file Long work on the JavaScript thread, cut into pieces that leave the event loop to others. */

/** A turn of the event loop should stay well below the 10 ms that this package promises. */
const pieceMs = 4

/** Made at the start of a stretch of work; `breathe` gives the event loop a turn when this one has lasted long enough. */
export class Turn {
  #start = performance.now()

  async breathe(): Promise<void> {
    if (performance.now() - this.#start < pieceMs) return
    await new Promise(setImmediate)
    this.#start = performance.now()
  }
}
