/** @file What a run of kernel ridge regression tells of its solutions: condition and ridge of the kernel matrix, and the drift of images and targets. */
import type { RegressionRecord, StepEvent } from '../experiment/types.js'
import { live } from './curves.js'
import { formatNumber } from './html.js'
import { type Chart, isLogarithmic, thin } from './line-chart.js'

type Told = { readonly step: number; readonly regression: RegressionRecord }

const toldBy = (steps: readonly StepEvent[]): Told[] => steps.flatMap(({ step, regression }) => (regression ? [{ step, regression }] : []))

/** The condition of the kernel matrix and its ridge by step; empty for other methods. */
export function kernelCondition(steps: readonly StepEvent[]): string {
  const told = toldBy(steps)
  if (told.length < 2) return ''
  const worst = told.reduce((a, b) => (b.regression.condition > a.regression.condition ? b : a))
  const raised = told.filter(({ regression }) => regression.tries > 0)
  const residual = Math.max(...told.map(({ regression }) => regression.residual))
  const ladder =
    raised.length === 0
      ? 'The ridge was never raised.'
      : `At ${raised.length} of ${told.length} steps the ridge was raised, the first at step ${raised[0].step}: the matrix was not positive definite.`
  const text = `The pivots of the kernel matrix span a factor of at most ${formatNumber(worst.regression.condition)}, at step ${worst.step}; the largest residual of a solution is ${formatNumber(residual)}. ${ladder}`
  const chart = curve('condition', 'Condition by step', text, told, 'largest pivot / smallest', ({ condition }) => condition)
  const ridge = curve('ridge', 'Ridge by step', 'The ridge as it was used.', told, 'ridge', (record) => record.ridge)
  return `<p>${text}</p>\n${live(chart)}\n${live(ridge)}`
}

/** How far images and targets have moved from where the run started; empty for other methods. */
export function driftCurves(steps: readonly StepEvent[]): string {
  const told = toldBy(steps)
  if (told.length < 2) return ''
  const { imageDrift, targetDrift, targetNorm } = told[told.length - 1].regression
  const text = `After step ${told[told.length - 1].step} pixels have moved by ${formatNumber(imageDrift)} (root mean square, in the space that networks see), targets by ${formatNumber(targetDrift)}, of a root mean square of ${formatNumber(targetNorm)}.`
  const images = curve('image-drift', 'Drift of the images by step', text, told, 'pixels', (record) => record.imageDrift)
  const targets = curve('target-drift', 'Drift of the targets by step', text, told, 'targets', (record) => record.targetDrift)
  return `<p>${text}</p>\n${live(images)}\n${live(targets)}`
}

/** How held-out images were answered on the way; empty for runs that held none out. */
export function validationCurves(steps: readonly StepEvent[]): string {
  const told = steps.flatMap(({ step, validation }) => (validation && Number.isFinite(validation.loss) ? [{ step, ...validation }] : []))
  if (told.length === 0) return ''
  const { bestStep } = told[told.length - 1]
  const best = told.find(({ step }) => step === bestStep) ?? told[told.length - 1]
  const text = `Held-out real images are answered with the lowest loss, ${formatNumber(best.loss)}, after step ${best.step}: ${best.accuracy.toFixed(2)} % right. The set is of there.`
  const drawn = (id: string, title: string, name: string, values: readonly number[]) =>
    live({ id, title, text, steps: told.map(({ step }) => step), series: [{ name, values }], marked: true, logarithmic: false })
  const losses = told.map(({ loss }) => loss)
  const accuracies = told.map(({ accuracy }) => accuracy)
  return `<p>${text}</p>
${drawn('validation-loss', 'Validation loss by step', 'loss', losses)}
${drawn('validation-accuracy', 'Validation accuracy by step', 'per cent', accuracies)}`
}

function curve(
  id: string,
  title: string,
  text: string,
  told: readonly Told[],
  name: string,
  of: (record: RegressionRecord) => number,
): Chart {
  const points = thin(told.map(({ step, regression }) => ({ step, loss: of(regression) })))
  const values = points.map(({ loss }) => loss)
  const logarithmic = isLogarithmic(Math.min(...values), Math.max(...values))
  return { id, title, text, steps: points.map(({ step }) => step), series: [{ name, values }], marked: false, logarithmic }
}
