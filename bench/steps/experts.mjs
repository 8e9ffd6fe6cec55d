/**
 * @file A training step of `aludel experts` at its defaults (batch 256, DSA, SGD without momentum, right answers counted) for 1, 2 and 4 experts in one
 * program, in turns: the report has the milliseconds of a step for one expert, and their ratio to those of one alone. Value: the loss.
 */
import { parseAugment } from '../../dist/augment/dsa.js'
import { round } from '../lib/timer.mjs'
import { timeInTurns } from '../lib/turns.mjs'
import { expertTrainer } from './expert.mjs'

const counts = [1, 2, 4]
const { operations } = parseAugment('dsa', true)

export function prepare(device) {
  const options = { rule: { momentum: 0, weightDecay: 0 }, operations, countHits: true }
  const turns = timeInTurns(counts.map((groups) => [groups, expertTrainer(device, { ...options, groups })]))
  return {
    ...turns,
    report() {
      const medians = turns.medians()
      const each = counts.map((groups) => [groups, medians[groups] / groups])
      return Object.fromEntries(
        each.flatMap(([groups, ms]) => [
          [`ms_each_of_${groups}`, round(ms)],
          [`of_one_${groups}`, round(ms / each[0][1])],
        ]),
      )
    },
  }
}
