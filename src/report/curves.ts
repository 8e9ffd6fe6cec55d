/** @file The curves of a run: its loss, and the accuracy of its images where they were measured after several numbers of steps. */
import type { EvaluationRecord, RunRecord } from '../experiment/run-dir.js'
import { formatNumber } from './html.js'
import { type Chart, chartData, isLogarithmic, lineChart, type Point, thin } from './line-chart.js'
import { sameProtocol } from './protocol.js'
import { dataElement } from './script.js'

/** A chart that the page's script makes live. */
export const live = (chart: Chart): string =>
  `<div class="live" id="${chart.id}">${lineChart(chart)}</div>\n${dataElement(`${chart.id}-data`, chartData(chart))}`

/** Points that the script draws; the picture without it has fewer. */
const livePoints = 1440

export function lossCurve(steps: readonly Point[]): string {
  if (steps.length < 2) return '<p>No loss curve: fewer than two steps were recorded.</p>'
  const chart = (points: readonly Point[]): Chart => {
    const losses = points.map(({ loss }) => loss)
    const [first, last] = [steps[0], steps[steps.length - 1]]
    return {
      id: 'loss',
      title: 'Loss by step',
      text: `The loss goes from ${formatNumber(first.loss)} at step ${first.step} to ${formatNumber(last.loss)} at step ${last.step}.`,
      steps: points.map(({ step }) => step),
      series: [{ name: 'loss', values: losses }],
      logarithmic: isLogarithmic(Math.min(...losses), Math.max(...losses)),
      marked: false,
    }
  }
  const data = dataElement('loss-data', chartData(chart(thin(steps, livePoints))))
  return `<div class="live" id="loss">${lineChart(chart(thin(steps)))}</div>\n${data}`
}

/** Mean accuracies of the distilled images by steps, of every network; empty with fewer than two numbers of steps. */
export function accuracyCurve({ evaluations, earlier = [] }: Pick<RunRecord, 'evaluations' | 'earlier'>): string {
  const measured = [...earlier, ...evaluations].filter((entry): entry is EvaluationRecord & { steps: number } => entry.steps !== undefined)
  // Only what was trained alike can be one curve: as the last one was.
  const last = measured.at(-1)
  const alike = measured.filter((entry) => last !== undefined && sameProtocol(entry, last))
  const steps = [...new Set(alike.map((entry) => entry.steps))].sort((a, b) => a - b)
  if (steps.length < 2) return ''
  const networks = [...new Set(alike.flatMap(({ results }) => results.map(({ network }) => network)))]
  const accuracyOf = (network: string, step: number) =>
    alike
      .filter((entry) => entry.steps === step)
      .flatMap(({ results }) => results)
      .findLast((result) => result.network === network)?.mean ?? null
  const series = networks.map((name) => ({ name, values: steps.map((step) => accuracyOf(name, step)) }))
  const said = series.map(({ name, values }) => `${name} ${values.map((value) => (value === null ? '–' : value.toFixed(1))).join(', ')}`)
  const text = `Test accuracy in per cent after ${steps.join(', ')} steps: ${said.join('; ')}.`
  const chart: Chart = { id: 'accuracy', title: 'Accuracy by step', text, steps, series, logarithmic: false, marked: true }
  return `<h3>By step</h3>\n<p>${text}</p>\n${live(chart)}`
}
