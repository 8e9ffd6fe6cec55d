/** @file Curves over steps as inline SVG, and as the data that the page's script draws. */
import { escapeHtml, formatNumber } from './html.js'

export interface Point {
  readonly step: number
  readonly loss: number
}

export const width = 720
export const height = 260
export const margin = { left: 64, right: 16, top: 12, bottom: 36 }
/** More points than this cannot be told apart at the chart's width. */
const maxPoints = 360

/** Means of equal stretches of steps, so that long runs stay small and noise does not hide the trend. */
export function thin(points: readonly Point[], limit: number = maxPoints): Point[] {
  if (points.length <= limit) return [...points]
  return Array.from({ length: limit }, (_, i) => {
    const bin = points.slice(Math.floor((i * points.length) / limit), Math.floor(((i + 1) * points.length) / limit))
    return { step: bin[bin.length - 1].step, loss: bin.reduce((sum, { loss }) => sum + loss, 0) / bin.length }
  })
}

/** About `count` round numbers that cover [low, high]. */
export function ticks(low: number, high: number, count = 5): number[] {
  const span = high - low
  if (!(span > 0)) return [low]
  const power = 10 ** Math.floor(Math.log10(span / count))
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= span / count) ?? 10)
  const first = Math.ceil(low / step - 1e-9)
  const last = Math.floor(high / step + 1e-9)
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)))
}

/** Powers of ten inside [low, high], or the ends when there are fewer than two. */
function logTicks(low: number, high: number): number[] {
  const first = Math.ceil(Math.log10(low))
  const powers = Array.from({ length: Math.max(0, Math.floor(Math.log10(high)) - first + 1) }, (_, i) => 10 ** (first + i))
  return powers.length >= 2 ? powers : [low, high]
}

/** A loss that falls over orders of magnitude shows nothing on a linear scale. */
export const isLogarithmic = (low: number, high: number): boolean => low > 0 && high / low > 30

export interface Curve {
  readonly name: string
  readonly values: readonly (number | null)[]
  /** Ends of a band around it. */
  readonly low?: readonly (number | null)[]
  readonly high?: readonly (number | null)[]
  /** A level to compare with. */
  readonly dashed?: boolean
}

/** A curve, or some of the same steps. */
export interface Chart {
  /** Unique in the page. */
  readonly id: string
  readonly title: string
  /** What it shows, in a sentence. */
  readonly text: string
  /** Ascending; at least two. */
  readonly steps: readonly number[]
  /** Null where a curve has no point. */
  readonly series: readonly Curve[]
  readonly logarithmic: boolean
  /** Mark every point: there are few. */
  readonly marked: boolean
  /** What the steps are; default 'step'. */
  readonly axis?: string
}

/** What the page's script draws. */
export const chartData = ({ steps, series, logarithmic, marked, axis = 'step' }: Chart) => ({ steps, series, logarithmic, marked, axis })

export const colours = 6

/** As inline SVG: what is seen without scripts. */
export function lineChart({ id, title, text, steps, series, logarithmic, marked, axis = 'step' }: Chart): string {
  const all = series.flatMap(({ values, low = [], high = [] }) => [...values, ...low, ...high].filter((value) => value !== null))
  const [low, high] = [Math.min(...all), Math.max(...all)]
  const scale = logarithmic ? Math.log10 : (value: number) => value
  const [firstStep, lastStep] = [steps[0], steps[steps.length - 1]]
  const x = (step: number) => margin.left + ((step - firstStep) / (lastStep - firstStep || 1)) * (width - margin.left - margin.right)
  const y = (value: number) => {
    const share = (scale(value) - scale(low)) / (scale(high) - scale(low) || 1)
    return height - margin.bottom - share * (height - margin.top - margin.bottom)
  }
  const horizontal = (logarithmic ? logTicks(low, high) : ticks(low, high)).map((value) => yTick(value, y(value)))
  const vertical = ticks(firstStep, lastStep, 6)
    .filter(Number.isInteger)
    .map((value) => xTick(value, x(value)))
  const place = (k: number, value: number) => `${x(steps[k]).toFixed(1)} ${y(value).toFixed(1)}`
  const bands = series.map(({ low = [], high = [] }, i) => {
    const ends = low.flatMap((from, k) => (from === null || high[k] === null ? [] : [{ k, from, to: high[k] }]))
    if (ends.length < 2) return ''
    const around = [...ends.map(({ k, to }) => place(k, to)), ...ends.map(({ k, from }) => place(k, from)).reverse()]
    return `<path class="band curve-${i % colours}" d="M${around.join('L')}Z"/>`
  })
  const curves = series.map(({ values, dashed }, i) => {
    const points = values.flatMap((value, k) => (value === null ? [] : [[x(steps[k]).toFixed(1), y(value).toFixed(1)]]))
    const marks = marked && !dashed ? points.map(([cx, cy]) => `<circle class="mark" cx="${cx}" cy="${cy}" r="3"/>`).join('') : ''
    return `<g class="${dashed ? 'dashed' : `curve-${i % colours}`}"><path class="line" d="${points.map(([px, py], k) => `${k === 0 ? 'M' : 'L'}${px} ${py}`).join('')}"/>${marks}</g>`
  })
  return `<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="${id}-title ${id}-text">
<title id="${id}-title">${escapeHtml(title)}</title>
<desc id="${id}-text">${escapeHtml(text)}</desc>
${horizontal.join('')}${vertical.join('')}
${bands.join('')}${curves.join('')}
<text x="${width - margin.right}" y="${height - 4}" text-anchor="end">${escapeHtml(axis)}${logarithmic ? ', on a logarithmic scale' : ''}</text>
</svg>${series.length > 1 ? legend(series) : ''}`
}

/** Which colour is which curve. */
export const legend = (series: readonly Pick<Curve, 'name' | 'dashed'>[]): string =>
  `<ul class="legend">${series.map(({ name, dashed }, i) => `<li class="${dashed ? 'dashed' : `curve-${i % colours}`}">${escapeHtml(name)}</li>`).join('')}</ul>`

export const yTick = (value: number, y: number): string =>
  `<line class="grid" x1="${margin.left}" x2="${width - margin.right}" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}"/>` +
  `<text x="${margin.left - 8}" y="${(y + 4).toFixed(1)}" text-anchor="end">${formatNumber(value)}</text>`

export const xTick = (value: number, x: number): string =>
  `<text x="${x.toFixed(1)}" y="${height - margin.bottom + 16}" text-anchor="middle">${value}</text>`
