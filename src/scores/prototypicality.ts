/** @file Prototypicality (Sorscher et al., 2206.14486): distance to the mean of the own class, or to centroids found without labels. */
import { checkOptions } from '../arguments.js'
import { expected } from '../errors.js'
import { Turn } from '../event-loop.js'
import { type KMeansOptions, kMeans } from './k-means.js'
import { checkLabels, rowsByClass } from './labels.js'
import { checkFiniteMatrix, inner, type Matrix, meanRow, rowsPerTurn, squaredDistance, takeRows } from './matrix.js'
import type { Score } from './score.js'

export const prototypicality: Score = {
  name: 'prototypicality',
  easy: 'low',
  input: 'features',
  source: 'Sorscher et al., 2206.14486, supervised: distance of the features to the mean of the own class',
}

export const selfPrototypicality: Score = {
  name: 'selfPrototypicality',
  easy: 'low',
  input: 'features',
  source: 'Sorscher et al., 2206.14486, self-supervised: 1 - largest cosine to a k-means centroid',
}

/** 'euclidean': ||a - b||. 'cosine': 1 - <a, b> / (||a|| ||b||), and 1 for a vector of zeros, which points nowhere. */
export type FeatureDistance = 'euclidean' | 'cosine'

const distances: readonly FeatureDistance[] = ['euclidean', 'cosine']

export interface PrototypicalityOptions {
  /** Number of classes: labels are in [0, classes). */
  readonly classes: number
  /** Default 'euclidean'. */
  readonly distance?: FeatureDistance
}

/**
 * Distance of every row of `features` [samples, width] to the mean of its class, float64 `[samples]`; low is typical.
 * Throws `invalid_option`, `invalid_shape`, `detached`, `invalid_data` (another number of labels), `invalid_index` (a label), `not_finite`.
 */
export async function classPrototypicality(
  features: Matrix,
  labels: ArrayLike<number>,
  options: PrototypicalityOptions,
): Promise<Float64Array> {
  const what = 'classPrototypicality'
  checkOptions<PrototypicalityOptions>(what, options, { classes: true, distance: true })
  const { distance = 'euclidean', classes } = options
  checkDistance(what, distance)
  await checkFiniteMatrix(`${what}: features`, features)
  const {
    data,
    shape: [rows, width],
  } = features
  await checkLabels(what, labels, rows, classes)
  const scores = new Float64Array(rows)
  const turn = new Turn()
  for (const members of await rowsByClass(labels, classes, turn)) {
    if (members.length === 0) continue
    const mean = await meanRow(takeRows(features, members), turn)
    for (let i = 0; i < members.length; i++) {
      const row = members[i]
      if (i % rowsPerTurn(width) === 0) await turn.breathe()
      scores[row] = distanceTo(mean, data, row * width, distance)
    }
  }
  return scores
}

export interface ClusterPrototypicalityOptions extends KMeansOptions {
  /** Centroids to find; the number of classes is a usual choice. */
  readonly clusters: number
  /** Default 'cosine', as published; the clusters are Euclidean either way. */
  readonly distance?: FeatureDistance
}

/**
 * Distance of every row of `features` [samples, width] to the nearest k-means centroid, float64 `[samples]`; low is typical. Published
 * score files hold the cosine itself, whose high end is typical. Throws `invalid_option`, `invalid_shape`, `detached`, `not_finite`.
 */
export async function clusterPrototypicality(features: Matrix, options: ClusterPrototypicalityOptions): Promise<Float64Array> {
  const what = 'clusterPrototypicality'
  const known = { clusters: true, distance: true, init: true, seed: true, maxIterations: true } as const
  checkOptions<ClusterPrototypicalityOptions>(what, options, known)
  const { distance = 'cosine', clusters, ...kMeansOptions } = options
  checkDistance(what, distance)
  const { centroids } = await kMeans(features, clusters, kMeansOptions)
  const {
    data,
    shape: [rows, width],
  } = features
  const scores = new Float64Array(rows).fill(Number.POSITIVE_INFINITY)
  const turn = new Turn()
  for (let row = 0; row < rows; row++) {
    if (row % rowsPerTurn(width * clusters) === 0) await turn.breathe()
    const point = data.subarray(row * width, (row + 1) * width)
    for (let c = 0; c < clusters; c++) scores[row] = Math.min(scores[row], distanceTo(point, centroids.data, c * width, distance))
  }
  return scores
}

function checkDistance(what: string, distance: unknown): void {
  if (distances.includes(distance as FeatureDistance)) return
  throw expected('invalid_option', `${what}: distance`, distances.join(' or '), distance)
}

function distanceTo(a: Float32Array | Float64Array, data: ArrayLike<number>, from: number, distance: FeatureDistance): number {
  if (distance === 'euclidean') return Math.sqrt(squaredDistance(a, data, from))
  let squares = 0
  for (let i = 0; i < a.length; i++) squares += data[from + i] ** 2
  const norms = Math.sqrt(inner(a, a, 0)) * Math.sqrt(squares)
  return norms === 0 ? 1 : 1 - inner(a, data, from) / norms
}
