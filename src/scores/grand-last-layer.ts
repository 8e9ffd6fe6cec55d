/** @file GraNd of the last layer in closed form: the gradient of a linear layer with bias is (p - y) [h, 1], and its norm a product. */
import { errorNorm } from './el2n.js'
import type { LogitScore } from './score.js'

export const grandLastLayer: LogitScore = {
  name: 'grandLastLayer',
  easy: 'low',
  input: 'logits',
  source: 'Paul et al., 2107.07075, last linear layer with bias: ||p - y|| sqrt(||h||^2 + 1)',
  of: (sample) => errorNorm(sample) * Math.sqrt(sample.featureNorm ** 2 + 1),
}
