/** @file Margin against the label: positive where another class is ahead. */
import type { LogitScore } from './score.js'

export const marginTrue: LogitScore = {
  name: 'marginTrue',
  easy: 'low',
  input: 'logits',
  source: 'data_diet: largest probability of a wrong class minus that of the label',
  of({ probabilities, label }) {
    let wrong = 0
    for (let j = 0; j < probabilities.length; j++) if (j !== label) wrong = Math.max(wrong, probabilities[j])
    return wrong - probabilities[label]
  },
}
