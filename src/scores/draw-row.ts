/** @file A row drawn by weight. */

/**
 * The row whose weights cover `left`, a number in [0, sum of the weights), counted from the first. Where rounding or weights that are all 0
 * leave none: the last row with a weight, else the first that is not taken.
 */
export function rowAt(weights: Float64Array, left: number, taken: (row: number) => boolean): number {
  let last = -1
  for (let row = 0; row < weights.length; row++) {
    if (weights[row] === 0) continue
    last = row
    left -= weights[row]
    if (left < 0) return row
  }
  return last >= 0 ? last : weights.findIndex((_, row) => !taken(row))
}
