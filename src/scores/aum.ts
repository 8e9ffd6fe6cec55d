/** @file Area under the margin: the margin of logits; its mean over epochs is the area. */
import type { LogitScore } from './score.js'

export const aum: LogitScore = {
  name: 'aum',
  easy: 'high',
  input: 'logits',
  source: 'Pleiss et al., 2001.10528: logit of the label minus the largest other, averaged over epochs',
  of({ logits, label }) {
    let wrong = Number.NEGATIVE_INFINITY
    for (let j = 0; j < logits.length; j++) if (j !== label) wrong = Math.max(wrong, logits[j])
    return logits[label] - wrong
  },
}
