/** @file Stretches of a trace that ONNX has one operator for: linear layers, frozen batch norm, leaky ReLU. */
import { constantValue, type Value } from '../../engine/index.js'
import { sizeOf } from '../../engine/tensor/shape.js'
import type { GraphWriter } from './graph-writer.js'

const isOp = (value: Value, op: Value['node']['op']): boolean => value.node.op === op

/** The two operands of a commutative op, the one that `is` first; undefined when neither is. */
function sides(value: Value, is: (v: Value) => boolean): readonly [Value, Value] | undefined {
  const [a, b] = value.node.inputs
  if (is(a)) return [a, b]
  return is(b) ? [b, a] : undefined
}

/** A value per channel or per feature, the same for every image and pixel. */
const isVector = (v: Value, length: number, w: GraphWriter): boolean =>
  !w.varies(v) && sizeOf(v.shape) === length && v.shape.at(-1) === length

/** add(matmul(x, W), b) with one b for all rows. */
export function matchLinear(value: Value, w: GraphWriter): { product: Value; bias: Value } | undefined {
  const found = sides(value, (v) => isOp(v, 'matmul') && w.varies(v) && w.usedOnce(v))
  if (!found) return undefined
  const [product, bias] = found
  return isVector(bias, product.shape.at(-1) as number, w) ? { product, bias } : undefined
}

export interface FrozenBatchNorm {
  readonly x: Value
  readonly scale: Value
  readonly shift: Value
  readonly mean: Value
  readonly variance: Value
  readonly eps: number
}

/** add(mul(sub(x, mean), mul(scale, rsqrt(add(variance, eps)))), shift), all but x per channel. */
export function matchBatchNorm(value: Value, w: GraphWriter): FrozenBatchNorm | undefined {
  if (value.shape.length !== 5) return undefined
  const perChannel = (v: Value) => isVector(v, value.shape[4], w)
  const outer = sides(value, (v) => isOp(v, 'mul') && w.varies(v) && w.usedOnce(v))
  const inner = outer && sides(outer[0], (v) => isOp(v, 'sub') && w.varies(v) && w.usedOnce(v))
  if (!outer || !inner) return undefined
  const shift = outer[1]
  const [difference, factor] = inner
  const [x, mean] = difference.node.inputs
  const product = unshaped(factor)
  if (!w.varies(x) || ![shift, mean, factor].every(perChannel) || !isOp(product, 'mul')) return undefined
  const split = sides(product, (v) => isOp(v, 'rsqrt'))
  const shifted = split?.[0].node.inputs[0]
  if (!split || !shifted || !isOp(shifted, 'add')) return undefined
  const [variance, added] = shifted.node.inputs
  const eps = constantValue(added)
  return eps === undefined ? undefined : { x, scale: split[1], shift, mean, variance, eps }
}

/** select(x > 0, x, slope x). */
export function matchLeakyRelu(value: Value, w: GraphWriter): { x: Value; slope: number } | undefined {
  const [condition, x, otherwise] = value.node.inputs
  if (!w.varies(x) || !isOp(condition, 'greater') || !isOp(otherwise, 'mul')) return undefined
  const [compared, zero] = condition.node.inputs
  const [scaled, factor] = otherwise.node.inputs
  const slope = constantValue(factor)
  return compared === x && constantValue(zero) === 0 && scaled === x && slope !== undefined ? { x, slope } : undefined
}

const unshaped = (value: Value): Value => (isOp(value, 'reshape') ? unshaped(value.node.inputs[0]) : value)
