/** @file Entropy of the predicted classes, in nats. */
import type { LogitScore } from './score.js'

export const entropy: LogitScore = {
  name: 'entropy',
  easy: 'low',
  input: 'logits',
  source: 'uncertainty sampling: -sum p log p',
  of({ probabilities, logits, logSumExp }) {
    let sum = 0
    // p log p has the limit 0; computed, it would be 0 times minus infinity
    for (let j = 0; j < logits.length; j++) if (probabilities[j] !== 0) sum += probabilities[j] * (logSumExp - logits[j])
    return sum
  },
}
