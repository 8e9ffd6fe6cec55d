/** @file AdaBelief (arXiv 2010.07468) in the form of torch_optimizer: steps are long where the gradient is as its running mean foretold. */
import { add, div, mul, sqrt, square, sub, type Value } from '../engine/index.js'
import { advanceWeights, defaultBetas, type MomentOptions, type MomentState, type MomentUpdate, rateOf, runningMean } from './moments.js'

export interface AdabeliefOptions extends MomentOptions {
  /** Added to the kept mean square at every step and to its root. Default 1e-16. */
  readonly eps?: number
}

/** m <- b1 m + (1 - b1) g;  s <- b2 s + (1 - b2) (g - m)² + eps;  p <- p - lr (m / (1 - b1^t)) / (sqrt(s / (1 - b2^t)) + eps). */
export function adabeliefUpdate(parameter: Value, gradient: Value, state: MomentState, options: AdabeliefOptions): MomentUpdate {
  const { betas = defaultBetas, eps = 1e-16 } = options
  const mean = runningMean(state.mean, gradient, betas[0])
  const weights = advanceWeights(state, betas)
  const surprise = add(runningMean(state.square, square(sub(gradient, mean)), betas[1]), eps)
  const direction = div(div(mean, weights.meanWeight), add(sqrt(div(surprise, weights.squareWeight)), eps))
  return { parameter: sub(parameter, mul(direction, rateOf(options.lr, parameter))), state: { mean, square: surprise, ...weights } }
}
