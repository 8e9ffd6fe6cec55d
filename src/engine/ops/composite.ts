/** @file Functions of other ops, without an opcode of their own. */
import { checkOptions } from '../../arguments.js'
import { expected } from '../../errors.js'
import type { Value } from '../graph/node.js'
import { formatShape, sameShape, sizeOf } from '../tensor/shape.js'
import { checkValues, type Operand, operand } from './build.js'
import { add, cast, div, equal, erf, exp, log, maximum, mul, sqrt, square, sub } from './elementwise.js'
import { scatterAdd } from './gather.js'
import { broadcast, reshape, stopGradient } from './movement.js'
import { argmax, max, type ReduceOptions, sum } from './reduce.js'
import { logSoftmax } from './softmax.js'

/** Arithmetic mean over `axes` (default all). */
export function mean(x: Value, options: ReduceOptions = {}): Value {
  const total = sum(x, options)
  // Dividing by the count is exact; multiplying by its rounded reciprocal would not be.
  return div(total, sizeOf(x.shape) / sizeOf(total.shape))
}

/** Weights `[N]` against x `[N,…]`. */
const asRows = (weights: Value, x: Value): Value => reshape(weights, [weights.shape[0], ...x.shape.slice(1).map(() => 1)])

/** sum(w x) / sum(w) over the first axis: x `[N,…]`, weights `[N]`. Rows of weight 0 count for nothing; a total weight of 0 gives 0. */
export function weightedMean(x: Value, weights: Value): Value {
  checkValues('weightedMean', [x, weights])
  const total = sum(weights)
  return div(sum(mul(x, asRows(weights, x)), { axes: [0] }), maximum(total, tiny))
}

/** Smallest divisor of a mean: an empty set has the mean 0 instead of NaN. */
const tiny = 1e-30

/** Mean of each segment with true counts: x `[N,…]`, segment i32 `[N]`, counts f32 `[segments]` -> `[segments,…]`; empty segments give 0. */
export function segmentMean(x: Value, segment: Value, counts: Value, weights?: Value): Value {
  checkValues('segmentMean', weights === undefined ? [x, segment, counts] : [x, segment, counts, weights])
  const rows = weights ? mul(x, asRows(weights, x)) : x
  const totals = scatterAdd(rows, segment, counts.shape[0])
  return div(totals, asRows(maximum(counts, 1), totals))
}

/** x times the normal distribution's share below x, in the exact form: x/2 (1 + erf(x / sqrt 2)). */
export const gelu = (x: Value): Value => mul(mul(x, 0.5), add(erf(mul(x, Math.SQRT1_2)), 1))

/** softmax over the last axis. */
export const softmax = (x: Value): Value => exp(logSoftmax(x))

/** log(sum(exp(x))) over the last axis, max-subtracted. */
export function logSumExp(x: Value): Value {
  // The maximum cancels, so it takes no part in the derivative.
  const top = stopGradient(max(x, { axes: [-1] }))
  const shifted = sub(x, reshape(top, [...top.shape, 1]))
  return add(top, log(sum(exp(shifted), { axes: [-1] })))
}

/** <a, b>: the sum of products of two tensors of one shape. */
export function dot(a: Value, b: Value): Value {
  checkValues('dot', [a, b])
  if (!sameShape(a.shape, b.shape))
    throw expected('invalid_shape', 'dot', `two tensors of shape ${formatShape(a.shape)}`, formatShape(b.shape))
  return sum(mul(a, b))
}

/** ||x||^2 over `axes` (default all). */
export const squaredNorm = (x: Value, options: ReduceOptions = {}): Value => sum(square(x), options)

/** ||x|| over `axes`; `eps` is added under the root, which keeps the gradient finite at 0. */
export function norm(x: Value, options: ReduceOptions & { readonly eps?: number } = {}): Value {
  checkOptions('norm', options, { axes: true, keep: true, eps: true })
  const { eps, ...reduced } = options
  const squares = squaredNorm(x, reduced)
  return sqrt(eps ? add(squares, eps) : squares)
}

/** Sum of several values of one shape. */
export function addAll(values: readonly Value[]): Value {
  if (!Array.isArray(values) || values.length === 0) throw expected('invalid_data', 'addAll', 'a list of traced values', values)
  return values.reduce((a, b) => add(a, b))
}

/** One step of gradient descent per parameter: p - rate g. */
export function sgd(parameters: readonly Value[], gradients: readonly Value[], rate: Operand): Value[] {
  if (!Array.isArray(parameters) || !Array.isArray(gradients) || gradients.length !== parameters.length) {
    throw expected('invalid_data', 'sgd', 'a list of parameters and one of as many gradients', [parameters, gradients])
  }
  return parameters.map((p, i) => sub(p, mul(gradients[i], operand(rate, p))))
}

/** Number of rows whose largest logit is the target: logits `[N,K]`, target i32 `[N]`, optional 0/1 weights `[N]` -> f32 `[]`. */
export function correctCount(logits: Value, target: Value, weights?: Value): Value {
  // Class indices are small whole numbers, exact in f32.
  const hits = equal(cast(argmax(logits), 'f32'), cast(target, 'f32'))
  return sum(weights ? mul(hits, weights) : hits)
}

/** x repeated along a new first axis: `[…]` -> `[rows,…]`. */
export function repeatRows(x: Value, rows: number): Value {
  checkValues('repeatRows', [x])
  return broadcast(x, [rows, ...x.shape])
}
