/** @file Empirical loss: cross-entropy in nats, -log p[label], in its log-sum-exp form. */
import type { LogitScore } from './score.js'

export const loss: LogitScore = {
  name: 'loss',
  easy: 'low',
  input: 'logits',
  source: 'cross-entropy; as a pruning score 2305.18381 (BiLP) and 2411.12115',
  of({ logits, label, best, doubt, logSumExp }) {
    // for the largest logit the difference would cancel: -log(1 - doubt)
    return label === best ? -Math.log1p(-doubt) : logSumExp - logits[label]
  },
}
