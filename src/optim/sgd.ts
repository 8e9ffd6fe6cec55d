/** @file Stochastic gradient descent with momentum and weight decay, traced into the step (PyTorch's update, dampening 0). */
import { add, mul, scalar, sub, type Value } from '../engine/index.js'

export interface SgdOptions {
  /** A number, or a scalar value that the step reads (schedules). */
  readonly lr: number | Value
  /** Default 0; as lr. */
  readonly momentum?: number | Value
  /** Default 0; added to the gradient as weightDecay * parameter. */
  readonly weightDecay?: number
}

export interface SgdUpdate {
  readonly parameter: Value
  readonly velocity: Value
}

/** v <- momentum v + (g + weightDecay p); p <- p - lr v. A velocity of zeros is PyTorch's first step. */
export function sgdUpdate(parameter: Value, velocity: Value, gradient: Value, options: SgdOptions): SgdUpdate {
  const { momentum = 0, weightDecay = 0 } = options
  const lr = typeof options.lr === 'number' ? scalar(options.lr) : options.lr
  const decayed = weightDecay === 0 ? gradient : add(gradient, mul(parameter, scalar(weightDecay)))
  const next = momentum === 0 ? decayed : add(mul(velocity, momentum), decayed)
  return { parameter: sub(parameter, mul(next, lr)), velocity: next }
}
