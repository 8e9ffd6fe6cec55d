/** @file The curves of a sweep: accuracy against the share that stays, with bands, and the time that it takes. */
import type { SweepCell } from '../experiment/sweep-record.js'
import { live } from './curves.js'
import { formatNumber } from './html.js'
import type { Chart } from './line-chart.js'
import { mean } from './statistics.js'
import { everything, type SweepSeries, seriesOf, sharesOf } from './sweep-summary.js'

export const shareText = (keep: number): string => `${formatNumber(100 * keep, 3)}\u00a0%`

/** Accuracy of one network, or the mean over several; empty with fewer than two shares. */
export function accuracyChart(id: string, cells: readonly SweepCell[], networks: readonly string[]): string {
  const shares = sharesOf(cells)
  const series = seriesOf(cells, networks)
  if (shares.length < 2) return ''
  const all = everything(cells, networks)
  const [floor, ceiling] = viewOf(series)
  const cut = (value: number) => Math.min(ceiling, Math.max(floor, value))
  const curves = series.map(({ order, points }) => ({
    name: order,
    values: points.map((point) => point?.mean ?? null),
    low: points.map((point) => (point ? cut(point.interval?.[0] ?? point.mean) : null)),
    high: points.map((point) => (point ? cut(point.interval?.[1] ?? point.mean) : null)),
  }))
  const level = all && { name: 'all images', values: shares.map(() => all.mean), dashed: true }
  const said = series.map(({ order, points }) => `${order} ${points.map((point) => (point ? point.mean.toFixed(1) : '–')).join(', ')}`)
  const chart: Chart = {
    id,
    title: 'Accuracy by share kept',
    text: `Test accuracy in per cent with ${shares.map(shareText).join(', ')} kept: ${said.join('; ')}.`,
    steps: shares.map((keep) => Number((100 * keep).toPrecision(6))),
    series: level && series[0].order !== 'all' ? [...curves, level] : curves,
    logarithmic: false,
    marked: true,
    axis: 'per cent kept',
  }
  return live(chart)
}

/** From where to where the axis goes: means and half of their range around them. Wide bands of few runs must not flatten the curves. */
function viewOf(series: readonly SweepSeries[]): [number, number] {
  const means = series.flatMap(({ points }) => points.flatMap((point) => (point ? [point.mean] : [])))
  const [low, high] = [Math.min(...means), Math.max(...means)]
  const around = Math.max(1, (high - low) / 2)
  return [Math.max(0, low - around), Math.min(100, high + around)]
}

/** Seconds of a distillation, mean over the repetitions; empty with fewer than two shares. */
export function timeChart(cells: readonly SweepCell[]): string {
  const shares = sharesOf(cells)
  if (shares.length < 2) return ''
  const orders = seriesOf(cells, []).map(({ order }) => order)
  const series = orders.map((order) => ({ name: order, values: shares.map((keep) => timeOf(cells, order, keep)?.distill ?? null) }))
  const said = series.map(
    ({ name, values }) => `${name} ${values.map((value) => (value === null ? '–' : formatNumber(value, 3))).join(', ')}`,
  )
  return live({
    id: 'sweep-time',
    title: 'Time of a distillation by share kept',
    text: `Seconds of a distillation with ${shares.map(shareText).join(', ')} kept: ${said.join('; ')}.`,
    steps: shares.map((keep) => Number((100 * keep).toPrecision(6))),
    series,
    logarithmic: false,
    marked: true,
    axis: 'per cent kept',
  })
}

/** Mean seconds of the runs of an order and share; runs on everything belong to every order. */
export function timeOf(cells: readonly SweepCell[], order: string, keep: number): { distill: number; evaluate: number } | undefined {
  const own = cells.filter((cell) => cell.keep === keep && (cell.order === order || cell.order === 'all'))
  if (own.length === 0) return undefined
  return { distill: mean(own.map(({ seconds }) => seconds.distill)), evaluate: mean(own.map(({ seconds }) => seconds.evaluate)) }
}
