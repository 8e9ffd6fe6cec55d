/** @file LARS with momentum (1708.03888, as solo-learn's): the rate of every tensor follows the ratio of its norm to its gradient's. */
import { add, div, greater, maximum, minimum, mul, select, sqrt, squaredNorm, sub, type Value } from '../engine/index.js'

export interface LarsOptions {
  /** A scalar > 0, or a value that the step reads. */
  readonly lr: Value
  /** Default 0.9. */
  readonly momentum?: number
  readonly weightDecay?: number
  /** Trust coefficient; default 0.02. */
  readonly eta?: number
  /** Whether a tensor's rate may not exceed `lr`; default true. */
  readonly clip?: boolean
  /** False for parameters of one dimension: neither adapted nor decayed. */
  readonly adapt: boolean
}

const eps = 1e-8

/**
 * g <- r (g + weightDecay p) with r = eta |p| / (|g| + weightDecay |p| + eps), min(r / lr, 1) where clipped; g as it is
 * where a norm is 0 or `adapt` is false. Then v <- momentum v + g; p <- p - lr v.
 */
export function larsUpdate(
  parameter: Value,
  velocity: Value,
  gradient: Value,
  { lr, momentum = 0.9, weightDecay = 0, eta = 0.02, clip = true, adapt }: LarsOptions,
): { readonly parameter: Value; readonly velocity: Value } {
  const step = adapt ? adapted(parameter, gradient, { lr, weightDecay, eta, clip }) : gradient
  const next = add(mul(velocity, momentum), step)
  return { parameter: sub(parameter, mul(next, lr)), velocity: next }
}

function adapted(
  parameter: Value,
  gradient: Value,
  { lr, weightDecay, eta, clip }: { lr: Value; weightDecay: number; eta: number; clip: boolean },
): Value {
  const [p, g] = [parameter, gradient].map((x) => sqrt(squaredNorm(x)))
  const trust = div(mul(p, eta), add(add(g, mul(p, weightDecay)), eps))
  // A rate of 0 moves nothing, whatever the ratio.
  const rate = clip ? minimum(div(trust, maximum(lr, 1e-30)), 1) : trust
  const decayed = weightDecay === 0 ? gradient : add(gradient, mul(parameter, weightDecay))
  return select(greater(minimum(p, g), 0), mul(decayed, rate), gradient)
}
