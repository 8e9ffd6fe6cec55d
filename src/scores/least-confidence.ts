/** @file Least confidence: what the best class lacks to certainty. */
import type { LogitScore } from './score.js'

export const leastConfidence: LogitScore = {
  name: 'leastConfidence',
  easy: 'low',
  input: 'logits',
  source: 'uncertainty sampling: 1 - max p',
  of: ({ doubt }) => doubt,
}
