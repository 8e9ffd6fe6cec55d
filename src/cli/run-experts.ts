/** @file A training of experts on the command line: the epochs that are done when ctrl-c ends it stay in its directory. */
import type { ExpertsProgress } from '../experts/settings.js'
import { imageRate, placeOfSteps, trainingOf } from './run-training.js'

export const withExperts = trainingOf<ExpertsProgress>({
  label: (data) => `experts on ${data}, steps`,
  saved: 'the epochs that are done',
  command: 'experts',
  place: placeOfSteps,
  details({ experts: [first, last], epoch, epochs, loss, accuracy, ...progress }) {
    const which = first === last ? `expert ${first}` : `experts ${first}-${last}`
    const reached = loss === undefined || accuracy === undefined ? [] : [`loss ${loss.toPrecision(3)}`, `${accuracy.toFixed(1)} %`]
    return [which, `epoch ${epoch}/${epochs}`, ...reached, ...imageRate(progress)]
  },
})
