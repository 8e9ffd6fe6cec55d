/** @file A pretraining on the command line: the steps under way when ctrl-c ends it are saved. */
import type { PretrainProgress } from '../pretrain/settings.js'
import { imageRate, placeOfSteps, trainingOf } from './run-training.js'

export const withPretraining = trainingOf<PretrainProgress>({
  label: (data) => `pretraining on ${data}, steps`,
  saved: 'the steps that are done',
  command: 'pretrain',
  place: placeOfSteps,
  details: ({ epoch, epochs, loss, spread, ...progress }) => [
    `epoch ${epoch}/${epochs}`,
    `loss ${loss.toPrecision(3)}`,
    `spread ${spread.toPrecision(2)}`,
    ...imageRate(progress),
  ],
})
