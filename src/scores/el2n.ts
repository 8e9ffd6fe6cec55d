/** @file EL2N: the norm of the error vector. Means over runs are means of norms. */
import type { LogitScore, SampleOutputs } from './score.js'

/** ||softmax(z) - onehot(label)||. */
export function errorNorm({ probabilities, label }: SampleOutputs): number {
  let others = 0
  let squares = 0
  for (let j = 0; j < probabilities.length; j++) {
    if (j === label) continue
    others += probabilities[j]
    squares += probabilities[j] ** 2
  }
  // 1 - p[label] as the sum of the others: exact for samples that the network is sure of
  return Math.sqrt(squares + others ** 2)
}

export const el2n: LogitScore = {
  name: 'el2n',
  easy: 'low',
  input: 'logits',
  source: 'Paul et al., 2107.07075: ||p - y||, averaged over runs',
  of: errorNorm,
}
