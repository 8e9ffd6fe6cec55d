/** @file What rules that choose sets, not scores, have in common: how many rows, and rows with weights in the order chosen. */
import { expected } from '../errors.js'

/** Rows in the order in which they were chosen, each with how much it stands for. */
export interface WeightedPick {
  readonly indices: Int32Array
  readonly weights: Float64Array
}

/** Throws `invalid_option` unless `count` is a whole number in [0, rows]. */
export function checkCount(what: string, count: number, rows: number): void {
  if (Number.isSafeInteger(count) && count >= 0 && count <= rows) return
  throw expected('invalid_option', `${what}: count`, `a whole number in [0, ${rows}]`, count)
}
