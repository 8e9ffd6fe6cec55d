/** @file The first number of a long array that is none. */
import { inPieces, Turn } from './event-loop.js'

/** Index of the first NaN or infinity, -1 where there is none; the event loop has its turns. */
export async function firstNotFinite(values: Float32Array): Promise<number> {
  let first = -1
  await inPieces(values.length, new Turn(), (from, to) => {
    for (let i = from; i < to && first < 0; i++) if (!Number.isFinite(values[i])) first = i
  })
  return first
}
