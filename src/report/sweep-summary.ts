/** @file What the runs of a sweep say together: mean and 95 % interval of each order and share, for one network or for several. */
import { studentQuantile } from '../evaluate/summary.js'
import type { SweepCell } from '../experiment/sweep-record.js'
import { mean } from './statistics.js'

export interface SweepPoint {
  /** Mean over the repetitions. */
  readonly mean: number
  /** 95 % interval of the mean: over the repetitions, or over the networks trained where there is one repetition; null of a single number. */
  readonly interval: readonly [number, number] | null
  /** Repetitions. */
  readonly n: number
}

export interface SweepSeries {
  /** 'asc', 'desc', 'random' and the like; 'all' where nothing else was run. */
  readonly order: string
  /** One for each of the shares; undefined where no run was. */
  readonly points: readonly (SweepPoint | undefined)[]
}

/** Shares that stay, ascending. */
export const sharesOf = (cells: readonly SweepCell[]): number[] => [...new Set(cells.map(({ keep }) => keep))].sort((a, b) => a - b)

/** Name of the mean over a pool of networks, which stands among their results. */
const poolMean = 'unseen'

/** Without means over several of them. */
export const networksOf = (cells: readonly SweepCell[]): string[] =>
  [...new Set(cells.flatMap(({ accuracies }) => accuracies.map(({ network }) => network)))].filter((network) => network !== poolMean)

/** One series for each order; runs on everything belong to all of them. */
export function seriesOf(cells: readonly SweepCell[], networks: readonly string[]): SweepSeries[] {
  const named = [...new Set(cells.map(({ order }) => order))].filter((order) => order !== 'all')
  const orders: readonly string[] = named.length > 0 ? named : ['all']
  return orders.map((order) => ({
    order,
    points: sharesOf(cells).map((keep) =>
      pointOf(
        cells.filter((cell) => cell.keep === keep && (cell.order === order || cell.order === 'all')),
        networks,
      ),
    ),
  }))
}

/** The runs on everything. */
export const everything = (cells: readonly SweepCell[], networks: readonly string[]): SweepPoint | undefined =>
  pointOf(
    cells.filter(({ order }) => order === 'all'),
    networks,
  )

/** Runs that were not measured with all of the networks do not count. */
function pointOf(cells: readonly SweepCell[], networks: readonly string[]): SweepPoint | undefined {
  const results = cells.map(({ accuracies }) => networks.map((network) => accuracies.findLast((result) => result.network === network)))
  const whole = results.flatMap((row) => (row.every((result) => result !== undefined) ? [row] : []))
  if (whole.length === 0 || networks.length === 0) return undefined
  const means = whole.map((row) => mean(row.map((result) => result.mean)))
  if (means.length > 1) return { mean: mean(means), interval: intervalOf(means), n: means.length }
  // the i-th trained network of every name together is one draw
  const values = whole[0].map((result) => result.values)
  const draws = Array.from({ length: Math.min(...values.map(({ length }) => length)) }, (_, i) => mean(values.map((list) => list[i])))
  return { mean: means[0], interval: draws.length > 1 ? intervalOf(draws) : null, n: 1 }
}

/** 95 % confidence interval of the mean of at least two numbers, by Student's t. */
export function intervalOf(values: readonly number[]): [number, number] {
  const center = mean(values)
  const squares = values.reduce((sum, value) => sum + (value - center) ** 2, 0)
  const margin = studentQuantile(values.length - 1) * Math.sqrt(squares / (values.length - 1) / values.length)
  return [center - margin, center + margin]
}
