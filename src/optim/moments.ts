/** @file Running means of a gradient with their bias corrections, as Adam and what follows from it keep them. */
import { add, cast, mul, type Operand, scalar, type Value } from '../engine/index.js'

/** State of one tensor; a state of zeros is that of the first step. */
export interface MomentState {
  /** Running mean of the gradient, of the parameter's shape. */
  readonly mean: Value
  /** Running mean of squares (of the gradient, or of its distance from `mean`), of the parameter's shape. */
  readonly square: Value
  /** 1 - beta1^t and 1 - beta2^t after t steps, of the parameter's dtype, `[]`: what the running means are divided by. */
  readonly meanWeight: Value
  readonly squareWeight: Value
}

export interface MomentOptions {
  /** A number, or a scalar value that the step reads (schedules). */
  readonly lr: Operand
  /** Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number]
  readonly eps?: number
}

export interface MomentUpdate {
  readonly parameter: Value
  readonly state: MomentState
}

export const defaultBetas = [0.9, 0.999] as const

/**
 * beta m + (1 - beta) x. The weight of the mean is the running mean of ones under the same beta: rounded as the mean itself is, it cancels
 * in the quotient, where 1 - beta^t in float32 would be off by 3e-5 at the first step.
 */
export const runningMean = (mean: Value, x: Operand, beta: number): Value =>
  add(mul(mean, beta), typeof x === 'number' ? x * (1 - beta) : mul(x, 1 - beta))

export const advanceWeights = ({ meanWeight, squareWeight }: MomentState, [beta1, beta2]: readonly [number, number]) => ({
  meanWeight: runningMean(meanWeight, 1, beta1),
  squareWeight: runningMean(squareWeight, 1, beta2),
})

/** A learning rate in the dtype of what it moves. */
export const rateOf = (lr: Operand, { dtype }: Value): Value => (typeof lr === 'number' ? scalar(lr, dtype) : cast(lr, dtype))
