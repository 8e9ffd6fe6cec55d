/** @file The curves of a run: its loss, and the accuracy of its images where they were measured after several numbers of steps. */
import type { EvaluationRecord, RunRecord } from '../experiment/run-dir.js'
import type { StepEvent } from '../experiment/types.js'
import { formatNumber, shortNumber } from './html.js'
import { type Chart, chartData, isLogarithmic, lineChart, type Point, thin } from './line-chart.js'
import { sameProtocol } from './protocol.js'
import { dataElement } from './script.js'

/** A chart that the page's script makes live. */
export const live = (chart: Chart): string =>
  `<div class="live" id="${chart.id}">${lineChart(chart)}</div>\n${dataElement(`${chart.id}-data`, chartData(chart))}`

/** Shares of skipped steps are over stretches: single steps are skipped or not. */
const skippedPoints = 50

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

/** What trajectory matching learned beside the images: the rate by step. Empty for a run that learns none. */
export function learningRateCurve(steps: readonly StepEvent[]): string {
  const learned = steps.flatMap(({ step, learningRate }) => (learningRate === undefined ? [] : [{ step, loss: learningRate }]))
  if (learned.length < 2) return ''
  const [first, last] = [learned[0], learned[learned.length - 1]]
  const guards = steps.filter(({ guarded }) => guarded).length
  const kept = guards > 0 ? ` At ${guards} of ${steps.length} steps it would have become 0 or less and was kept.` : ''
  const text = `The learning rate goes from ${shortNumber(first.loss)} after step ${first.step} to ${shortNumber(last.loss)} after step ${last.step}.${kept}`
  const points = thin(learned)
  const values = points.map(({ loss }) => loss)
  const about = { id: 'learning-rate', title: 'Learned rate by step', text, steps: points.map(({ step }) => step), marked: false }
  const logarithmic = isLogarithmic(Math.min(...values), Math.max(...values))
  return `<p>${text}</p>\n${live({ ...about, series: [{ name: 'learning rate', values }], logarithmic })}`
}

/** How many steps changed nothing because their loss was above the threshold; empty for methods that skip none. */
export function skippedSteps(steps: readonly StepEvent[], threshold: unknown): string {
  if (!steps.some(({ skipped }) => skipped !== undefined)) return ''
  const skipped = steps.filter((event) => event.skipped)
  const above = typeof threshold === 'number' ? `a loss above the threshold ${formatNumber(threshold)}` : 'a loss above the threshold'
  if (skipped.length === 0) return '<p>No step was skipped.</p>'
  const share = `${skipped.length} of ${steps.length} steps (${((100 * skipped.length) / steps.length).toFixed(1)} %) had ${above} and changed nothing`
  if (skipped.length === steps.length)
    return `<p>${share}: the images are those that the run began with. Raise the threshold, or lower the last start epoch.</p>`
  const text = `${share}, the first at step ${skipped[0].step}, the last at step ${skipped[skipped.length - 1].step}.`
  const points = thin(
    steps.map((event) => ({ step: event.step, loss: event.skipped ? 100 : 0 })),
    skippedPoints,
  )
  const chart: Chart = {
    ...{ id: 'skipped', title: 'Skipped steps', text, steps: points.map(({ step }) => step), marked: false, logarithmic: false },
    series: [{ name: 'skipped, per cent of steps', values: points.map(({ loss }) => loss) }],
  }
  return `<p>${text}</p>\n${points.length > 1 ? live(chart) : ''}`
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
