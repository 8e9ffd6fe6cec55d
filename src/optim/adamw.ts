/** @file Adam and AdamW (arXiv 1412.6980, 1711.05101), traced into the step: PyTorch's update, the decay of weights apart from the gradient. */
import { add, div, mul, sqrt, square, sub, type Value } from '../engine/index.js'
import { advanceWeights, defaultBetas, type MomentOptions, type MomentState, type MomentUpdate, rateOf, runningMean } from './moments.js'

export interface AdamwOptions extends MomentOptions {
  /** Added to the root of the mean square. Default 1e-8. */
  readonly eps?: number
  /** Share of the parameter, times lr, that a step takes off. Default 0: Adam. */
  readonly weightDecay?: number
}

/**
 * m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g²;  p <- p - lr wd p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps).
 * Parameter and gradient of one shape, f32 or f64.
 */
export function adamwUpdate(parameter: Value, gradient: Value, state: MomentState, options: AdamwOptions): MomentUpdate {
  const { weightDecay = 0 } = options
  const { direction, state: next } = adamDirection(gradient, state, options)
  const lr = rateOf(options.lr, parameter)
  const decayed = weightDecay === 0 ? parameter : sub(parameter, mul(parameter, mul(lr, weightDecay)))
  return { parameter: sub(decayed, mul(direction, lr)), state: next }
}

/** What Adam subtracts at a learning rate of 1. */
export function adamDirection(gradient: Value, state: MomentState, { betas = defaultBetas, eps = 1e-8 }: Omit<MomentOptions, 'lr'>) {
  const next: MomentState = {
    mean: runningMean(state.mean, gradient, betas[0]),
    square: runningMean(state.square, square(gradient), betas[1]),
    ...advanceWeights(state, betas),
  }
  const direction = div(div(next.mean, next.meanWeight), add(sqrt(div(next.square, next.squareWeight)), eps))
  return { direction, state: next }
}
