/** @file Rows that later replays need, read while earlier ones compute: which they are is known from the numbers of the replays alone. */
import type { PixelRows } from '../data/pixel-rows.js'

/** Replays whose rows are read beyond the one at hand. */
const ahead = 1

export interface RowsOfReplay {
  /** Rows of a replay, by its place in the order in which replays are run, from 0 on. */
  rows(place: number): Int32Array
  /** Places there are. */
  readonly places: number
}

/** Reads in order, `ahead` replays ahead. Going to another place than the next one begins anew. */
export class Prefetch {
  readonly #pixels: PixelRows
  readonly #replays: RowsOfReplay
  readonly #reading = new Map<number, Promise<Uint8Array>>()

  constructor(pixels: PixelRows, replays: RowsOfReplay) {
    this.#pixels = pixels
    this.#replays = replays
  }

  /** Pixels of the replay at `place`. */
  take(place: number): Promise<Uint8Array> {
    for (const other of [...this.#reading.keys()]) if (other < place || other > place + ahead) this.#reading.delete(other)
    const taken = this.#start(place)
    this.#reading.delete(place)
    for (let next = place + 1; next <= Math.min(place + ahead, this.#replays.places - 1); next++) this.#start(next)
    return taken
  }

  #start(place: number): Promise<Uint8Array> {
    const known = this.#reading.get(place)
    if (known) return known
    const reading = this.#pixels.read(this.#replays.rows(place))
    // heard by whoever takes it; one that nobody takes must not end the process
    reading.catch(() => undefined)
    this.#reading.set(place, reading)
    return reading
  }
}
