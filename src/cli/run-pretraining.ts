/** @file A pretraining on the command line: the steps under way when ctrl-c ends it are saved. */
import type { Dataset } from '../data/dataset.js'
import type { PretrainProgress } from '../pretrain/settings.js'
import type { Output } from './output.js'
import { imageRate, type TrainingHooks, withTraining } from './run-training.js'

export const withPretraining = <T>(
  output: Output,
  train: Dataset,
  dir: string,
  action: (hooks: TrainingHooks<PretrainProgress>) => Promise<T>,
): Promise<T> => {
  const label = `pretraining on ${train.name}, steps`
  return withTraining(output, { label, saved: 'the steps that are done', resume: `aludel pretrain --resume ${dir}`, details }, action)
}

const details = ({ epoch, epochs, loss, spread, ...progress }: PretrainProgress): string[] => [
  `epoch ${epoch}/${epochs}`,
  `loss ${loss.toPrecision(3)}`,
  `spread ${spread.toPrecision(2)}`,
  ...imageRate(progress),
]
