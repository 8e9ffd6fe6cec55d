/** @file The loss of trajectory matching and its cotangent in the student's last parameters, over the parameters that a mask keeps. */
import { addAll, div, full, mul, select, squaredNorm, sub, type Value } from '../../engine/index.js'
import type { Network, Parameters } from '../../nn/module.js'
import { parameterNames } from './student-step.js'

/** Which elements of each parameter count: all, none, or those where a tensor of its shape holds 1 and not 0. */
export type Kept = Readonly<Record<string, 'all' | 'none' | Value>>

export interface MatchingLoss {
  /** |theta_N - target|^2 / |theta_0 - target|^2 over the kept parameters, f32 []. Sums are float64 within a parameter. */
  readonly loss: Value
  readonly denominator: Value
  /** d loss / d theta_N by parameter, the mask held constant: 2 (theta_N - target) / denominator where kept, else 0. */
  readonly cotangents: Parameters
}

/** Throws `invalid_data` when no parameter is kept. */
export function matchingLoss(
  network: Network,
  { start, end, target }: { readonly start: Parameters; readonly end: Parameters; readonly target: Parameters },
  kept: Kept,
): MatchingLoss {
  const names = parameterNames(network).filter((name) => kept[name] !== 'none')
  const masked = (name: string, x: Value): Value => {
    const mask = kept[name]
    // not a product: what is left out may have become infinite
    return typeof mask === 'string' ? x : select(mask, x, 0)
  }
  const difference = Object.fromEntries(names.map((name) => [name, masked(name, sub(end[name], target[name]))]))
  const distance = (name: string) => squaredNorm(masked(name, sub(start[name], target[name])))
  const denominator = addAll(names.map(distance))
  const numerator = addAll(names.map((name) => squaredNorm(difference[name])))
  const factor = div(2, denominator)
  const cotangent = (name: string) => (name in difference ? mul(difference[name], factor) : full(end[name].shape, 0))
  return {
    loss: div(numerator, denominator),
    denominator,
    cotangents: Object.fromEntries(parameterNames(network).map((name) => [name, cotangent(name)])),
  }
}
