/** @file Herding (Welling 2009) by the residual rule: samples whose running mean follows the mean of all. */
import { expected } from '../errors.js'
import { Turn } from '../event-loop.js'

/** Rows compared between two turns of the event loop. */
const rowsPerTurn = 64

/**
 * `count` rows of `features` [rows, width] in the order chosen: step t takes argmin_x ||(t+1) mu - sum(chosen) - x|| among those left, the
 * first row on ties. Sums are float64. Throws `invalid_option` when count exceeds the rows.
 */
export async function herd(features: Float32Array | Float64Array, width: number, count: number): Promise<Int32Array> {
  const rows = features.length / width
  if (!Number.isInteger(count) || count < 0 || count > rows)
    throw expected('invalid_option', 'count', `a whole number in [0, ${rows}]`, count)
  const turn = new Turn()
  const mean = new Float64Array(width)
  for (let row = 0; row < rows; row++) {
    if (row % rowsPerTurn === 0) await turn.breathe()
    for (let i = 0; i < width; i++) mean[i] += features[row * width + i]
  }
  for (let i = 0; i < width; i++) mean[i] /= rows
  const residual = new Float64Array(width)
  const left = new Uint8Array(rows).fill(1)
  const chosen = new Int32Array(count)
  for (let t = 0; t < count; t++) {
    for (let i = 0; i < width; i++) residual[i] += mean[i]
    let best = -1
    let least = Number.POSITIVE_INFINITY
    for (let row = 0; row < rows; row++) {
      if (row % rowsPerTurn === 0) await turn.breathe()
      if (left[row] === 0) continue
      const distance = squaredDistance(residual, features, row * width)
      if (distance < least) {
        least = distance
        best = row
      }
    }
    if (best < 0) throw expected('not_finite', 'herding features', 'finite numbers', 'NaN or infinity')
    chosen[t] = best
    left[best] = 0
    for (let i = 0; i < width; i++) residual[i] -= features[best * width + i]
  }
  return chosen
}

function squaredDistance(a: Float64Array, b: Float32Array | Float64Array, from: number): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[from + i]) ** 2
  return sum
}
