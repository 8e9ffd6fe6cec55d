/** @file Margin: how far the best class is ahead of the second. */
import type { LogitScore } from './score.js'

export const margin: LogitScore = {
  name: 'margin',
  easy: 'high',
  input: 'logits',
  source: 'margin sampling: largest minus second largest probability',
  of({ probabilities, best }) {
    let second = 0
    for (let j = 0; j < probabilities.length; j++) if (j !== best) second = Math.max(second, probabilities[j])
    return probabilities[best] - second
  },
}
