/** @file How well rows of one set stand for those of another: coverage and density (Naeem et al. 2020, arXiv 2002.09797), and a plane to see both in. */
import { PCA } from 'ml-pca'

export interface CoverageRequest {
  readonly dim: number
  /** [rows, dim] each. */
  readonly real: Float32Array
  readonly sets: Readonly<Record<string, Float32Array>>
}

export interface SetCoverage {
  readonly rows: number
  /** Share of real rows with a row of the set at least as near as their k-th nearest other real row. */
  readonly coverage: number
  /** Real rows that a row of the set is so near to, on average, over k: about 1 for real rows, less far from them, more in their midst. */
  readonly density: number
  /** Median over the real rows of the distance to the nearest row of the set. */
  readonly distance: number
}

export interface CoverageReply {
  readonly sets: Readonly<Record<string, SetCoverage & { readonly k: number; readonly points: Float32Array }>>
  /** Median over the real rows of the distance to the nearest other real row. */
  readonly realDistance: number
  /** [rows, 2] */
  readonly real: Float32Array
  /** Shares of the variance of the real rows along both directions. */
  readonly shares: readonly [number, number]
}

/** Of real rows whose own number of neighbours is small, distances say little. */
const leastNeighbours = 5
/** What as many fresh real rows as the set has would cover. */
const wantedCoverage = 0.95

/** k at which `rows` fresh real rows would cover about 95 % of `real` ones, each by 1 - (1 - k / real)^rows; at least 5. */
export function neighboursFor(rows: number, real: number): number {
  const k = Math.ceil(real * (1 - (1 - wantedCoverage) ** (1 / rows)))
  return Math.max(1, Math.min(real - 1, Math.max(leastNeighbours, k)))
}

/** Needs three real rows at least. */
export function coverageOf({ dim, real, sets }: CoverageRequest): CoverageReply {
  const rows = real.length / dim
  const ks = Object.fromEntries(Object.entries(sets).map(([name, set]) => [name, neighboursFor(set.length / dim, rows)]))
  const { radii, nearest } = neighbourDistances(real, dim, Object.values(ks))
  const plane = planeOf(real, dim)
  const measured = Object.entries(sets).map(([name, set]) => {
    const k = ks[name]
    const found = measure(real, set, dim, radii.get(k) as Float64Array, k)
    return [name, { ...found, k, points: plane.project(set) }] as const
  })
  const realDistance = median(nearest)
  return { sets: Object.fromEntries(measured), realDistance, real: plane.project(real), shares: plane.shares }
}

function squared(a: Float32Array, i: number, b: Float32Array, j: number, dim: number): number {
  let sum = 0
  for (let d = 0, x = i * dim, y = j * dim; d < dim; d++) sum += (a[x + d] - b[y + d]) ** 2
  return sum
}

/** Squared distance of every row to its k-th nearest other one, for each k; and to the nearest, not squared. */
function neighbourDistances(data: Float32Array, dim: number, ks: readonly number[]) {
  const rows = data.length / dim
  const radii = new Map(ks.map((k) => [k, new Float64Array(rows)]))
  const nearest = new Float64Array(rows)
  const distances = new Float64Array(rows)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < rows; j++) distances[j] = i === j ? -1 : squared(data, i, data, j, dim)
    const sorted = distances.slice().sort()
    for (const [k, radius] of radii) radius[i] = sorted[k]
    nearest[i] = Math.sqrt(sorted[1])
  }
  return { radii, nearest }
}

function measure(real: Float32Array, set: Float32Array, dim: number, radii: Float64Array, k: number): SetCoverage {
  const [rows, own] = [radii.length, set.length / dim]
  const nearest = new Float64Array(rows)
  let [covered, within] = [0, 0]
  for (let i = 0; i < rows; i++) {
    let least = Number.POSITIVE_INFINITY
    for (let j = 0; j < own; j++) {
      const distance = squared(real, i, set, j, dim)
      if (distance < least) least = distance
      if (distance <= radii[i]) within++
    }
    if (least <= radii[i]) covered++
    nearest[i] = Math.sqrt(least)
  }
  return { rows: own, coverage: covered / rows, density: within / (k * own), distance: median(nearest) }
}

function median(values: Float64Array): number {
  const sorted = values.slice().sort()
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Wider rows than this are fitted by fewer of them: the decomposition is cubic. */
const mostSide = 512

/** The plane of the two principal components of the rows. Which way a component points is fixed: its largest loading is positive. */
function planeOf(data: Float32Array, dim: number) {
  const rows = data.length / dim
  const mean = new Float64Array(dim)
  for (let i = 0; i < data.length; i++) mean[i % dim] += data[i] / rows
  const loadings = components(data, dim, mean).map(signed)
  const project = (values: Float32Array): Float32Array => {
    const points = new Float32Array((2 * values.length) / dim)
    for (let row = 0; row < values.length / dim; row++)
      for (let c = 0; c < 2; c++) {
        let sum = 0
        for (let d = 0; d < dim; d++) sum += (values[row * dim + d] - mean[d]) * loadings[c][d]
        points[2 * row + c] = sum
      }
    return points
  }
  let total = 0
  for (let i = 0; i < data.length; i++) total += (data[i] - mean[i % dim]) ** 2
  const points = project(data)
  const share = (c: number) => points.reduce((sum, v, i) => (i % 2 === c ? sum + v * v : sum), 0) / (total || 1)
  return { project, shares: [share(0), share(1)] as const }
}

/** Loadings of both components, [dim] each; of one dimension the second is 0. */
function components(data: Float32Array, dim: number, mean: Float64Array): number[][] {
  const pca = dim <= mostSide ? new PCA(covariance(data, dim, mean), { isCovarianceMatrix: true }) : new PCA(firstRows(data, dim, mostSide))
  const vectors = pca.getEigenvectors()
  return [0, 1].map((c) => (c < vectors.columns ? vectors.getColumn(c) : new Array<number>(dim).fill(0)))
}

function covariance(data: Float32Array, dim: number, mean: Float64Array): number[][] {
  const sums = Array.from({ length: dim }, () => new Float64Array(dim))
  const row = new Float64Array(dim)
  for (let first = 0; first < data.length; first += dim) {
    for (let d = 0; d < dim; d++) row[d] = data[first + d] - mean[d]
    for (let a = 0; a < dim; a++) {
      const [value, sum] = [row[a], sums[a]]
      for (let b = 0; b <= a; b++) sum[b] += value * row[b]
    }
  }
  const rows = data.length / dim
  return sums.map((_, a) => Array.from({ length: dim }, (_, b) => (a >= b ? sums[a][b] : sums[b][a]) / (rows - 1)))
}

const firstRows = (data: Float32Array, dim: number, most: number): number[][] =>
  Array.from({ length: Math.min(most, data.length / dim) }, (_, row) => Array.from(data.subarray(row * dim, (row + 1) * dim)))

function signed(loadings: number[]): number[] {
  const largest = loadings.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0)
  return largest < 0 ? loadings.map((value) => -value) : loadings
}
