/** @file A histogram as inline SVG: shares of samples per bin, the kept ones in colour where a subset is shown, the median as a line. */
import { type Bins, binTicks, placeOf } from './bins.js'
import { escapeHtml, formatNumber, shortNumber } from './html.js'
import { ticks } from './line-chart.js'

export interface Histogram {
  readonly bins: Bins
  /** Samples per bin. */
  readonly counts: Int32Array
  /** Of them kept; absent without a subset. */
  readonly kept?: Int32Array
  readonly median: number
  /** From where to where the kept ones reach; absent without a subset. */
  readonly range?: readonly [number, number]
  /** Share at the top of the axis: the same for histograms that are compared. */
  readonly top: number
  readonly size: 'small' | 'medium' | 'large'
  /** What it shows, in a sentence. */
  readonly text: string
}

const sizes = {
  small: { width: 180, height: 96, marks: 3, margin: { left: 4, right: 4, top: 6, bottom: 20 } },
  medium: { width: 360, height: 150, marks: 5, margin: { left: 40, right: 6, top: 8, bottom: 22 } },
  large: { width: 720, height: 200, marks: 8, margin: { left: 44, right: 12, top: 10, bottom: 24 } },
} as const

/**
 * Share at the top of the axis of histograms that are compared. Bins that also hold what lies beyond them may be many times as high as all
 * others; they are cut off then, so that the others are seen.
 */
export function topShare({ openLow, openHigh }: Bins, lists: readonly Int32Array[]): number {
  const largest = (from: number, to?: number) =>
    Math.max(...lists.map((counts) => Math.max(...counts.subarray(from, to)) / Math.max(1, total(counts))))
  const inner = largest(openLow ? 1 : 0, openHigh ? -1 : undefined)
  return Math.min(largest(0), inner > 0 ? 2 * inner : 1)
}

const total = (counts: Int32Array): number => counts.reduce((sum, count) => sum + count, 0)

export function histogram({ bins, counts, kept, median, range, top, size, text }: Histogram): string {
  const { width, height, margin, marks } = sizes[size]
  const [inner, depth] = [width - margin.left - margin.right, height - margin.top - margin.bottom]
  const all = Math.max(1, total(counts))
  const base = margin.top + depth
  const x = (place: number) => round(margin.left + place * inner)
  const y = (share: number) => round(base - Math.min(1, share / top) * depth)
  const outline = (list: Int32Array) =>
    `M${x(0)} ${base}${Array.from(list, (count, i) => `V${y(count / all)}H${x((i + 1) / list.length)}`).join('')}V${base}Z`
  const axis = binTicks(bins, marks).map((value, i, list) => {
    const place = placeOf(bins, value)
    const anchor = place < 0.08 ? 'start' : place > 0.92 ? 'end' : 'middle'
    const shown = `${i === 0 && bins.openLow && place === 0 ? '≤ ' : ''}${shortNumber(value)}`
    const hidden = list.length > 1 && i === list.length - 1 && place - placeOf(bins, list[i - 1]) < 0.12 && size === 'small'
    return `<line class="grid" x1="${x(place)}" x2="${x(place)}" y1="${base}" y2="${base + 4}"/>${hidden ? '' : `<text x="${x(place)}" y="${base + 15}" text-anchor="${anchor}">${shown}</text>`}`
  })
  const shares = size === 'small' ? [] : ticks(0, top, 3).slice(1)
  const levels = shares.map(
    (share) =>
      `<line class="grid" x1="${margin.left}" x2="${width - margin.right}" y1="${y(share)}" y2="${y(share)}"/><text x="${margin.left - 6}" y="${y(share) + 4}" text-anchor="end">${formatNumber(100 * share, 2)} %</text>`,
  )
  const bars = kept
    ? `<path class="bars left-out" d="${outline(counts)}"/><path class="bars" d="${outline(kept)}"/>`
    : `<path class="bars" d="${outline(counts)}"/>`
  const reach = range
    ? `<path class="reach" d="M${x(placeOf(bins, range[0]))} ${base + 1.5}H${round(Math.max(x(placeOf(bins, range[1])), x(placeOf(bins, range[0])) + 2))}"/>`
    : ''
  const middle = x(placeOf(bins, median))
  return `<svg class="chart histogram ${size}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(text)}">${levels.join('')}${bars}
<line class="axis" x1="${margin.left}" x2="${width - margin.right}" y1="${base}" y2="${base}"/>${reach}<line class="median" x1="${middle}" x2="${middle}" y1="${margin.top - 4}" y2="${base}"/>${axis.join('')}</svg>`
}

const round = (value: number): number => Number(value.toFixed(1))
