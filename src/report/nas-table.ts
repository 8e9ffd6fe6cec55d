/** @file A search of architectures: how far each source orders the sample as all real images do, and what it costs; the sample as dots. */
import type { KeptNasResult, KeptNasSource } from '../nas/kept-result.js'
import type { NasSource } from '../nas/options.js'
import { formatDuration } from './html.js'
import type { RunNas } from './run-nas.js'
import { scatterChart } from './scatter-chart.js'
import { textTable } from './table.js'

const sourceNames: Readonly<Record<NasSource, string>> = {
  distilled: 'distilled images',
  random: 'random real images',
  'early-stop': 'all real images, early stop',
  full: 'all real images',
}

/** Empty where nothing was searched. */
export function nasTable(nas: RunNas | undefined): string {
  if (!nas) return ''
  if (nas.other) return '<p>Not shown: an architecture search on another set, or on an earlier one of this run.</p>'
  const { sources, ranking, sample, top } = nas.result
  const share = `top ${Number((100 * top).toPrecision(3))}\u00a0%`
  const head = ['trained on', 'networks', 'Spearman, 95\u00a0%', 'Kendall', `${share}: Spearman`, `${share}: Kendall`]
  const cost = ['its best, on all images', 'operations', 'time', 'whole space']
  const totals = { flops: total(sources.map(({ flops }) => flops)), seconds: total(sources.map(({ seconds }) => seconds)) }
  const rows = sources.map((source) => [...orderCells(source, nas.result), ...costCells(source, totals)])
  const caption = `Correlation of accuracies with those after training on all real images, over ${sample.length} of ${ranking.length} networks`
  return `${sampleChart(nas.result)}\n${textTable(caption, [...head, ...cost], rows)}`
}

const number = (value: number | null): string => (value === null ? '–' : value.toFixed(2))

function orderCells({ source, sample, top }: KeptNasSource, { ranking }: KeptNasResult): string[] {
  const networks = ranking.filter(({ accuracies }) => accuracies[source] !== undefined).length
  const interval = sample.interval ? `, ${sample.interval.map(number).join(' to ')}` : ''
  return [
    ...[sourceNames[source], String(networks), `${number(sample.spearman)}${interval}`, number(sample.kendall)],
    ...[`${number(top.spearman)} (n = ${top.n})`, number(top.kendall)],
  ]
}

interface Totals {
  readonly flops: number | null
  readonly seconds: number | null
}

function costCells({ best, flops, seconds, spaceSeconds }: KeptNasSource, all: Totals): string[] {
  const time = (value: number | null) => (value === null ? '–' : formatDuration(value))
  const part = shareOf(seconds, all.seconds)
  return [
    ...[`${best.architecture}: ${best.accuracy.toFixed(1)}\u00a0%`, shareOf(flops, all.flops)],
    ...[`${time(seconds)}${part === '–' ? '' : ` (${part})`}`, time(spaceSeconds)],
  ]
}

/** Null where one is not known. */
const total = (values: readonly (number | null | undefined)[]): number | null =>
  values.reduce<number | null>((sum, value) => (sum === null || value === null || value === undefined ? null : sum + value), 0)

const shareOf = (value: number | null | undefined, whole: number | null): string =>
  value === null || value === undefined || whole === null || whole <= 0 ? '–' : `${((100 * value) / whole).toFixed(0)}\u00a0%`

/** The sample: accuracy on each source against accuracy on all real images. */
function sampleChart({ sources, ranking }: KeptNasResult): string {
  const series = sources.flatMap(({ source }) => {
    const dots = ranking.flatMap(({ name, accuracies }) => {
      const [own, full] = [accuracies[source], accuracies.full]
      return own && full ? [{ x: own.mean, y: full.mean, name }] : []
    })
    return source === 'full' || dots.length === 0 ? [] : [{ name: sourceNames[source], dots }]
  })
  if (series.length === 0) return ''
  const text = 'Each dot is a network: its test accuracy in per cent after training on a source (across) and on all real images (up).'
  const axis = 'accuracy on the source, per cent'
  return `<p>${text}</p>\n${scatterChart({ id: 'nas', title: 'Networks on a source and on all real images', text, axis, series })}`
}
