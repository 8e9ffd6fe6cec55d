/** @file Pairs of numbers as inline SVG, drawn as curves are. */
import { escapeHtml, formatNumber } from './html.js'
import { colours, height, legend, margin, ticks, width, xTick, yTick } from './line-chart.js'

export interface Dot {
  readonly x: number
  readonly y: number
  /** Said of it under the pointer. */
  readonly name: string
}

export interface Scatter {
  /** Unique in the page. */
  readonly id: string
  readonly title: string
  /** What it shows, in a sentence. */
  readonly text: string
  /** What goes across. */
  readonly axis: string
  /** At least one dot in all. */
  readonly series: readonly { readonly name: string; readonly dots: readonly Dot[] }[]
}

export function scatterChart({ id, title, text, axis, series }: Scatter): string {
  const dots = series.flatMap((one) => one.dots)
  const [left, right] = around(dots.map(({ x }) => x))
  const [low, high] = around(dots.map(({ y }) => y))
  const across = (x: number) => margin.left + ((x - left) / (right - left)) * (width - margin.left - margin.right)
  const up = (y: number) => height - margin.bottom - ((y - low) / (high - low)) * (height - margin.top - margin.bottom)
  const groups = series.map(({ name, dots: own }, i) => {
    const circles = own.map((dot) => {
      const said = `${dot.name}, ${name}: ${formatNumber(dot.x, 3)}, ${formatNumber(dot.y, 3)}`
      return `<circle class="mark" cx="${across(dot.x).toFixed(1)}" cy="${up(dot.y).toFixed(1)}" r="4"><title>${escapeHtml(said)}</title></circle>`
    })
    return `<g class="curve-${i % colours}">${circles.join('')}</g>`
  })
  return `<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="${id}-title ${id}-text">
<title id="${id}-title">${escapeHtml(title)}</title>
<desc id="${id}-text">${escapeHtml(text)}</desc>
${ticks(low, high)
  .map((value) => yTick(value, up(value)))
  .join('')}${ticks(left, right, 6)
  .map((value) => xTick(value, across(value)))
  .join('')}
${groups.join('\n')}
<text x="${width - margin.right}" y="${height - 4}" text-anchor="end">${escapeHtml(axis)}</text>
</svg>${series.length > 1 ? legend(series) : ''}`
}

/** From where to where an axis goes: a little beyond its ends. */
function around(values: readonly number[]): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const space = 0.05 * (high - low) || 1
  return [low - space, high + space]
}
