/** @file Numbers in ascending order, sorted in pieces that are merged, so that a million of them do not hold the event loop. */
import { inPieces, type Turn } from '../event-loop.js'

const piece = 4096

/** `values` in ascending order, in one of two arrays of which `values` is the other: its order is lost. Numbers must be finite. */
export async function sortInTurns(values: Float64Array, turn: Turn): Promise<Float64Array> {
  for (let start = 0; start < values.length; start += piece) {
    values.subarray(start, start + piece).sort()
    await turn.breathe()
  }
  let from = values
  let to: Float64Array = new Float64Array(values.length > piece ? values.length : 0)
  for (let width = piece; width < values.length; width *= 2) {
    for (let start = 0; start < values.length; start += 2 * width) await merge(from, to, start, width, turn)
    ;[from, to] = [to, from]
  }
  return from
}

async function merge(from: Float64Array, to: Float64Array, start: number, width: number, turn: Turn): Promise<void> {
  const middle = Math.min(start + width, from.length)
  const end = Math.min(start + 2 * width, from.length)
  let left = start
  let right = middle
  await inPieces(end - start, turn, (first, last) => {
    for (let i = start + first; i < start + last; i++) {
      to[i] = left < middle && (right >= end || from[left] <= from[right]) ? from[left++] : from[right++]
    }
  })
}
