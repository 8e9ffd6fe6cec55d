/** @file A stable ascending order by float64 keys, sorted in pieces so that a million samples do not hold the event loop. */
import { Turn } from '../event-loop.js'

const piece = 1024

/** `rows`, which are ascending, by `keys[row]`; equal keys stay in the order of rows. Keys must be finite. */
export async function stableOrder(rows: Int32Array, keys: Float64Array): Promise<Int32Array> {
  const turn = new Turn()
  let from = rows.slice()
  let to = new Int32Array(rows.length)
  for (let start = 0; start < from.length; start += piece) {
    from.subarray(start, start + piece).sort((a, b) => keys[a] - keys[b] || a - b)
    await turn.breathe()
  }
  for (let width = piece; width < from.length; width *= 2) {
    for (let start = 0; start < from.length; start += 2 * width) await merge(from, to, start, width, keys, turn)
    ;[from, to] = [to, from]
  }
  return from
}

/** Merges two neighbouring sorted stretches of at most `width`; of equal keys the left one comes first. */
async function merge(from: Int32Array, to: Int32Array, start: number, width: number, keys: Float64Array, turn: Turn): Promise<void> {
  const middle = Math.min(start + width, from.length)
  const end = Math.min(start + 2 * width, from.length)
  let left = start
  let right = middle
  for (let i = start; i < end; i++) {
    if (i % piece === 0) await turn.breathe()
    to[i] = left < middle && (right >= end || keys[from[left]] <= keys[from[right]]) ? from[left++] : from[right++]
  }
}
