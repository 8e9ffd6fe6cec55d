/** @file A scoring on the command line: the epochs that are done when ctrl-c ends it stay in its directory. */
import type { ScoringProgress } from '../scoring/options.js'
import { imageRate, trainingOf } from './run-training.js'

export const withScoring = trainingOf<ScoringProgress>({
  label: (data) => `score ${data}, per cent`,
  saved: 'the epochs that are done',
  command: 'score',
  place: ({ done }) => ({ done: percent(done), total: 100, from: percent(done) }),
  details({ run, runs, phase, epoch, epochs, loss, ...progress }) {
    const network = `network ${run + 1}/${runs}`
    const where = epoch === undefined ? phase : `epoch ${epoch + 1}/${epochs}`
    return [network, where, ...(loss === undefined ? [] : [`loss ${loss.toPrecision(3)}`]), ...imageRate(progress)]
  },
})

const percent = (share: number): number => Math.floor(1000 * share) / 10
