/** @file LAMB (arXiv 1904.00962) as optax has it: Adam's direction, scaled to the norm of the tensor that it moves. */
import { add, div, equal, maximum, mul, select, sqrt, squaredNorm, sub, type Value } from '../engine/index.js'
import { adamDirection } from './adamw.js'
import { type MomentOptions, type MomentState, type MomentUpdate, rateOf } from './moments.js'

export interface LambOptions extends MomentOptions {
  /** Default 1e-6. */
  readonly eps?: number
  /** Share of the parameter added to the direction before it is scaled. Default 0. */
  readonly weightDecay?: number
}

/** u = Adam's direction + wd p;  p <- p - lr (||p|| / ||u||) u, the quotient 1 where either norm is 0; norms over the whole tensor. */
export function lambUpdate(parameter: Value, gradient: Value, state: MomentState, options: LambOptions): MomentUpdate {
  const { weightDecay = 0, eps = 1e-6 } = options
  const { direction, state: next } = adamDirection(gradient, state, { ...options, eps })
  const update = weightDecay === 0 ? direction : add(direction, mul(parameter, weightDecay))
  const [size, length] = [sqrt(squaredNorm(parameter)), sqrt(squaredNorm(update))]
  const none = maximum(equal(size, 0), equal(length, 0))
  const ratio = select(none, 1, div(size, select(none, 1, length)))
  return { parameter: sub(parameter, mul(update, mul(ratio, rateOf(options.lr, parameter)))), state: next }
}
