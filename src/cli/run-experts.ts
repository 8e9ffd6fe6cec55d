/** @file A training of experts on the command line: the epochs that are done when ctrl-c ends it stay in its directory. */
import type { Dataset } from '../data/dataset.js'
import type { ExpertsProgress } from '../experts/settings.js'
import type { Output } from './output.js'
import { imageRate, type TrainingHooks, withTraining } from './run-training.js'

export const withExperts = <T>(
  output: Output,
  train: Dataset,
  dir: string,
  action: (hooks: TrainingHooks<ExpertsProgress>) => Promise<T>,
): Promise<T> => {
  const label = `experts on ${train.name}, steps`
  return withTraining(output, { label, saved: 'the epochs that are done', resume: `aludel experts --resume ${dir}`, details }, action)
}

function details({ experts: [first, last], epoch, epochs, loss, accuracy, ...progress }: ExpertsProgress): string[] {
  const which = first === last ? `expert ${first}` : `experts ${first}-${last}`
  const reached = loss === undefined || accuracy === undefined ? [] : [`loss ${loss.toPrecision(3)}`, `${accuracy.toFixed(1)} %`]
  return [which, `epoch ${epoch}/${epochs}`, ...reached, ...imageRate(progress)]
}
