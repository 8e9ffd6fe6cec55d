/** @file CRAIG (Mirzasoleiman et al., 1906.01827): facility location on gradients of the last layer, maximised by lazy greedy steps. */
import { Turn } from '../event-loop.js'
import { checkFiniteMatrix, type Matrix, rowsPerTurn, squaredDistance } from './matrix.js'
import { checkCount, type WeightedPick } from './pick.js'

/** Keeps the similarity of the two most distant rows above 0. */
const similarityFloor = 1e-3

export interface Craig extends WeightedPick {
  /** values[t]: sum over all rows of the similarity to the nearest of the first t + 1 chosen. */
  readonly values: Float64Array
}

/**
 * `count` rows of `gradients` [samples, width] in the order chosen: each step takes the row that adds most to sum_i max_j s_ij with
 * s_ij = d_max - ||g_i - g_j|| + 0.001; the first row wins ties. The weight of a row is the number of rows that are most similar to it
 * (those most similar to several count for the one chosen first). O(N) memory: distances are computed when needed, N^2 of them at first.
 * Throws `invalid_option`, `invalid_shape`, `detached`, `not_finite`.
 */
export async function craig(gradients: Matrix, count: number): Promise<Craig> {
  await checkFiniteMatrix('craig: gradients', gradients)
  const {
    data,
    shape: [rows, width],
  } = gradients
  checkCount('craig', count, rows)
  const turn = new Turn()
  const step = rowsPerTurn(width)
  /** Writes the distance of row j to every row. */
  const distancesTo = async (j: number, out: Float64Array): Promise<void> => {
    const point = data.subarray(j * width, (j + 1) * width)
    for (let i = 0; i < rows; i++) {
      if (i % step === 0) await turn.breathe()
      out[i] = Math.sqrt(squaredDistance(point, data, i * width))
    }
  }
  const distances = new Float64Array(rows)
  let largest = 0
  for (let j = 0; j < rows; j++) {
    await distancesTo(j, distances)
    for (let i = 0; i < rows; i++) largest = Math.max(largest, distances[i])
  }
  const covered = new Float64Array(rows)
  const nearest = new Int32Array(rows)
  /** Every term falls from step to step, in floating point as well, so that an old gain bounds the new one. */
  const gainOf = async (j: number): Promise<number> => {
    await distancesTo(j, distances)
    let gain = 0
    for (let i = 0; i < rows; i++) gain += Math.max(0, largest - distances[i] + similarityFloor - covered[i])
    return gain
  }
  const bounds = new Float64Array(rows).fill(Number.POSITIVE_INFINITY)
  const boundOf = new Int32Array(rows).fill(-1)
  const indices = new Int32Array(count)
  const values = new Float64Array(count)
  for (let t = 0; t < count; t++) {
    let best = firstLargest(bounds)
    while (boundOf[best] !== t) {
      bounds[best] = await gainOf(best)
      boundOf[best] = t
      best = firstLargest(bounds)
    }
    bounds[best] = Number.NEGATIVE_INFINITY
    indices[t] = best
    await distancesTo(best, distances)
    for (let i = 0; i < rows; i++) {
      const similarity = largest - distances[i] + similarityFloor
      if (similarity > covered[i]) {
        covered[i] = similarity
        nearest[i] = t
      }
      values[t] += covered[i]
    }
  }
  const weights = new Float64Array(count)
  if (count > 0) for (const t of nearest) weights[t]++
  return { indices, values, weights }
}

function firstLargest(values: Float64Array): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i
  return best
}
