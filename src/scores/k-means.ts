/** @file k-means (Lloyd) in float64, deterministic: seeded k-means++ or given first centroids; the first centroid wins ties. */

import { checkOptions, checkSeed, wholeNumber } from '../arguments.js'
import { fold, keyOf, purpose } from '../engine/tensor/key.js'
import { randomBits } from '../engine/tensor/philox.js'
import { expected } from '../errors.js'
import { Turn } from '../event-loop.js'
import { rowAt } from './draw-row.js'
import { checkFiniteMatrix, type Matrix, rowsPerTurn, squaredDistance, takeRows } from './matrix.js'
import { checkCount } from './pick.js'

export interface KMeansOptions {
  /** 'plusPlus' (default): k-means++ with `seed`. 'firstRows': the first rows are the first centroids. */
  readonly init?: 'plusPlus' | 'firstRows'
  /** Default 0. */
  readonly seed?: number
  /** Most rounds of assignment and update; default 100. It ends when no assignment changes. */
  readonly maxIterations?: number
}

export interface Clusters {
  /** [clusters, width] in float64. A cluster that loses all its rows keeps its last centroid. */
  readonly centroids: Matrix
  /** Nearest centroid of every row, Euclidean. */
  readonly assignment: Int32Array
  /** Updates of the centroids. */
  readonly iterations: number
}

/** Throws `invalid_option` (more clusters than rows), `invalid_shape`, `detached`, `not_finite`. */
export async function kMeans(features: Matrix, clusters: number, options: KMeansOptions = {}): Promise<Clusters> {
  checkOptions<KMeansOptions>('kMeans', options, { init: true, seed: true, maxIterations: true })
  const { init = 'plusPlus', maxIterations = 100 } = options
  const seed = checkSeed('kMeans: seed', options.seed ?? 0)
  wholeNumber('kMeans: maxIterations', maxIterations)
  if (init !== 'plusPlus' && init !== 'firstRows') throw expected('invalid_option', 'kMeans: init', "'plusPlus' or 'firstRows'", init)
  await checkFiniteMatrix('kMeans: features', features)
  const [rows, width] = features.shape
  checkCount('kMeans', wholeNumber('kMeans: clusters', clusters), rows)
  const turn = new Turn()
  const first = init === 'firstRows' ? Array.from({ length: clusters }, (_, c) => c) : await plusPlus(features, clusters, seed, turn)
  const centroids: Matrix = { data: Float64Array.from(takeRows(features, first).data), shape: [clusters, width] }
  const assignment = new Int32Array(rows).fill(-1)
  let iterations = 0
  while ((await assign(features, centroids, assignment, turn)) && iterations < maxIterations) {
    await moveToMeans(features, assignment, centroids, turn)
    iterations++
  }
  return { centroids, assignment, iterations }
}

/** Writes the nearest centroid of every row; whether any changed. */
async function assign({ data, shape: [rows, width] }: Matrix, centroids: Matrix, out: Int32Array, turn: Turn): Promise<boolean> {
  const clusters = centroids.shape[0]
  const step = rowsPerTurn(width * clusters)
  let changed = false
  for (let row = 0; row < rows; row++) {
    if (row % step === 0) await turn.breathe()
    const point = data.subarray(row * width, (row + 1) * width)
    let [best, least] = [0, Number.POSITIVE_INFINITY]
    for (let c = 0; c < clusters; c++) {
      const distance = squaredDistance(point, centroids.data, c * width)
      if (distance < least) {
        least = distance
        best = c
      }
    }
    changed ||= out[row] !== best
    out[row] = best
  }
  return changed
}

async function moveToMeans({ data, shape: [rows, width] }: Matrix, assignment: Int32Array, centroids: Matrix, turn: Turn): Promise<void> {
  const sums = new Float64Array(centroids.data.length)
  const counts = new Int32Array(centroids.shape[0])
  const step = rowsPerTurn(width)
  for (let row = 0; row < rows; row++) {
    if (row % step === 0) await turn.breathe()
    counts[assignment[row]]++
    for (let i = 0; i < width; i++) sums[assignment[row] * width + i] += data[row * width + i]
  }
  for (let i = 0; i < sums.length; i++) {
    const count = counts[Math.floor(i / width)]
    if (count > 0) centroids.data[i] = sums[i] / count
  }
}

/** Rows drawn with probability proportional to their squared distance to those drawn before (Arthur & Vassilvitskii 2007). */
async function plusPlus({ data, shape: [rows, width] }: Matrix, clusters: number, seed: number, turn: Turn): Promise<number[]> {
  const bits = randomBits(fold(keyOf(seed), 'kMeans'), 0, purpose.score, 2 * clusters)
  // 53 random bits: with 24 most rows of a large set could not be drawn
  const draw = (i: number): number => ((bits[2 * i] >>> 5) * 2 ** 26 + (bits[2 * i + 1] >>> 6)) * 2 ** -53
  const weights = new Float64Array(rows).fill(Number.POSITIVE_INFINITY)
  const chosen = [Math.floor(draw(0) * rows)]
  const step = rowsPerTurn(width)
  while (chosen.length < clusters) {
    const last = chosen[chosen.length - 1]
    const point = data.subarray(last * width, (last + 1) * width)
    let total = 0
    for (let row = 0; row < rows; row++) {
      if (row % step === 0) await turn.breathe()
      weights[row] = row === last ? 0 : Math.min(weights[row], squaredDistance(point, data, row * width))
      total += weights[row]
    }
    chosen.push(rowAt(weights, draw(chosen.length) * total, (row) => chosen.includes(row)))
  }
  return chosen
}
