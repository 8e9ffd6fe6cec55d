/** @file CRAIG (Mirzasoleiman et al., 1906.01827): facility location on gradients of the last layer, maximised by lazy greedy steps. */
import { checkDevice, checkOptions } from '../arguments.js'
import type { Device } from '../engine/runtime/device.js'
import { Turn } from '../event-loop.js'
import { factorDistances } from './factor-distances.js'
import { type GradientFactors, type GradientRows, gradientRows, isFactors } from './gradient-factors.js'
import type { Matrix } from './matrix.js'
import { checkCount, type WeightedPick } from './pick.js'

/** Keeps the similarity of the two most distant rows above 0. */
const similarityFloor = 1e-3

export interface Craig extends WeightedPick {
  /** values[t]: sum over all rows of the similarity to the nearest of the first t + 1 chosen. */
  readonly values: Float64Array
}

export interface CraigOptions {
  /** Where products of factors are computed, many rows at a time; sums are rounded otherwise there, so rows may change places whose gains agree to that. */
  readonly device?: Device
}

/** Distances of every pair are kept up to so many bytes; beyond, they are computed again when they are needed. */
const keptBytes = 2 ** 29

/**
 * `count` rows of `gradients` [samples, width], whole or in factors, in the order chosen: each step takes the row that adds most to
 * sum_i max_j s_ij with s_ij = d_max - ||g_i - g_j|| + 0.001; the first row wins ties. The weight of a row is the number of rows that are
 * most similar to it (those most similar to several count for the one chosen first). Time N^2; up to 8,000 rows their distances are kept,
 * 8 N^2 bytes. Throws `invalid_option`, `invalid_shape`, `detached`, `not_finite`; with a device also `out_of_memory`, `disposed`.
 */
export async function craig(gradients: Matrix | GradientFactors, count: number, options: CraigOptions = {}): Promise<Craig> {
  checkOptions<CraigOptions>('craig', options, { device: true })
  const { device } = options
  if (device !== undefined) checkDevice('craig', device)
  const source = await gradientRows('craig: gradients', gradients)
  checkCount('craig', count, source.rows)
  if (!device || !isFactors(gradients) || count === 0) return choose(source, count)
  const computed = await factorDistances(device, gradients)
  try {
    return await choose({ rows: source.rows, distances: computed.distances }, count)
  } finally {
    computed.dispose()
  }
}

type Distances = Pick<GradientRows, 'rows' | 'distances'>

async function choose(source: Distances, count: number): Promise<Craig> {
  const { rows } = source
  const turn = new Turn()
  const { distancesOf, largest } = await pairs(source, turn)
  const covered = new Float64Array(rows)
  const nearest = new Int32Array(rows)
  /** Every term falls from step to step, in floating point as well, so that an old gain bounds the new one. */
  const gainOf = async (j: number): Promise<number> => {
    const distances = await distancesOf(j)
    let gain = 0
    for (let i = 0; i < rows; i++) gain += Math.max(0, largest - distances[i] + similarityFloor - covered[i])
    await turn.breathe()
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
    const distances = await distancesOf(best)
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

/** The distances of a row to all, and the largest of any pair. */
async function pairs(
  source: Distances,
  turn: Turn,
): Promise<{ readonly distancesOf: (j: number) => Promise<Float64Array>; readonly largest: number }> {
  const { rows } = source
  const row = new Float64Array(rows)
  const kept = 8 * rows * rows <= keptBytes ? new Float64Array(rows * rows) : undefined
  let largest = 0
  for (let j = 0; j < rows; j++) {
    await source.distances(j, j, row)
    for (let i = j; i < rows; i++) largest = Math.max(largest, row[i])
    if (kept) {
      for (let i = j; i < rows; i++) {
        kept[j * rows + i] = row[i]
        kept[i * rows + j] = row[i]
      }
    }
    await turn.breathe()
  }
  const distancesOf = async (j: number): Promise<Float64Array> => {
    if (kept) return kept.subarray(j * rows, (j + 1) * rows)
    await source.distances(j, 0, row)
    return row
  }
  return { distancesOf, largest }
}

function firstLargest(values: Float64Array): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i
  return best
}
