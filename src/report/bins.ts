/** @file Bins of a score that suit all classes at once, and how many samples fall into each. */
import { ticks } from './line-chart.js'
import { quantile } from './statistics.js'

export interface Bins {
  readonly low: number
  readonly high: number
  readonly count: number
  readonly logarithmic: boolean
  /** Whether the first or last bin also holds what lies beyond it. */
  readonly openLow: boolean
  readonly openHigh: boolean
}

const mostBins = 40
/** Scores such as numbers of events get a bin for each value up to so many. */
const mostValues = 40
/** Where the upper end is so many times the median, a linear scale shows one bar. */
const skewed = 10
/** Widest logarithmic scale, in powers of ten. */
const decades = 12

/** Numbers below this lose digits, and scales of them their ends. */
const smallest = 1e-290

/** Bins for finite ascending values, at least one. */
export function binsOf(ascending: Float64Array): Bins {
  const [min, max] = [ascending[0], ascending[ascending.length - 1]]
  const median = quantile(ascending, 0.5)
  if (max - min < mostValues && ascending.every(Number.isInteger))
    return { low: min - 0.5, high: max + 0.5, count: max - min + 1, logarithmic: false, openLow: false, openHigh: false }
  const logarithmic = min >= 0 && max > smallest && quantile(ascending, 0.95) > skewed * median
  if (logarithmic) {
    const positive = ascending.subarray(ascending.findIndex((value) => value > 0))
    const low = Math.max(quantile(positive, 0.005), max / 10 ** decades)
    return { low, high: low < max ? max : low * 10, count: mostBins, logarithmic, openLow: min < low, openHigh: false }
  }
  // one sample far away must not press all others into one bar
  const [first, last] = [quantile(ascending, 0.001), quantile(ascending, 0.999)]
  const far = 0.5 * (last - first)
  const low = first - min > far ? first : min
  const high = max - last > far ? last : max
  const [openLow, openHigh] = [min < low, max > high]
  const flat = !(high - low > Math.max(smallest, 1e-12 * Math.max(Math.abs(low), Math.abs(high))))
  const half = Math.max(0.5, 1e-6 * Math.abs(low))
  const widened = flat ? { low: low - half, high: low + half } : { low, high }
  return { ...widened, count: mostBins, logarithmic, openLow, openHigh }
}

/** Where a value lies between the ends, from 0 to 1. */
export function placeOf({ low, high, logarithmic }: Bins, value: number): number {
  const scale = logarithmic ? (v: number) => Math.log10(Math.max(v, low)) : (v: number) => v
  return Math.min(1, Math.max(0, (scale(value) - scale(low)) / (scale(high) - scale(low))))
}

/** How many of `rows` fall into each bin. */
export function countIn(bins: Bins, values: ArrayLike<number>, rows: Iterable<number>): Int32Array {
  const counts = new Int32Array(bins.count)
  for (const row of rows) counts[Math.min(bins.count - 1, Math.floor(placeOf(bins, values[row]) * bins.count))]++
  return counts
}

/** About `count` round values to mark on the axis: powers of ten where the scale is logarithmic and long enough. */
export function binTicks({ low, high, logarithmic }: Bins, count: number): number[] {
  if (!logarithmic) return ticks(low, high, count)
  const first = Math.ceil(Math.log10(low) - 1e-9)
  const powers = Math.floor(Math.log10(high) + 1e-9) - first + 1
  if (powers < 2) return [low, high]
  const every = Math.ceil(powers / count)
  return Array.from({ length: Math.ceil(powers / every) }, (_, i) => 10 ** (first + i * every))
}
