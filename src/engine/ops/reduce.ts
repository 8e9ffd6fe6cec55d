/** @file Reductions. Reduced axes are removed; sums over many elements accumulate in float64. */
import { checkOptions } from '../../arguments.js'
import type { Attrs, TensorType, Value } from '../graph/node.js'
import { normalizeAxis, sizeOf, stridesOf } from '../tensor/shape.js'
import { checkValues, emitOne } from './build.js'
import { axesAttr, checkArity, checkFloats, checkWholeList } from './check.js'
import { defineOp, type RefTensor } from './define.js'
import { cast, div, equal, mul } from './elementwise.js'
import { broadcast, reshape } from './movement.js'
import { walkStrided, zeros } from './reference-tensor.js'
import { sliceRule } from './slicing.js'

/** Axes of a reduction: none given means all of them; negative ones count from the end. */
export interface ReduceOptions {
  readonly axes?: readonly number[]
  /** Leave reduced axes in place with size 1. */
  readonly keep?: boolean
}

function reduce(op: 'sum' | 'max', x: Value, options: ReduceOptions): Value {
  checkOptions(op, options, { axes: true, keep: true })
  const { axes, keep = false } = options
  checkValues(op, [x])
  if (axes !== undefined) checkWholeList(op, 'axes', axes)
  const rank = x.shape.length
  const chosen = axes ? axes.map((axis) => normalizeAxis(op, axis, rank)) : x.shape.map((_, i) => i)
  const ordered = [...new Set(chosen)].sort((a, b) => a - b)
  const y = ordered.length === 0 ? x : emitOne(op, [x], { axes: ordered })
  return keep ? reshape(y, keptShape(x, ordered)) : y
}

const keptShape = (x: TensorType, axes: readonly number[]): number[] => x.shape.map((d, i) => (axes.includes(i) ? 1 : d))

/** Sum over `axes` (default all). */
export const sum = (x: Value, options: ReduceOptions = {}): Value => reduce('sum', x, options)
/** Largest element over `axes` (default all); ties share the gradient evenly. */
export const max = (x: Value, options: ReduceOptions = {}): Value => reduce('max', x, options)
/** Index of the largest element of the last axis (the first one on ties), i32, last axis removed. */
export const argmax = (x: Value): Value => emitOne('argmax', [x])

function reducedType(op: string, inputs: readonly TensorType[], attrs: Attrs): readonly TensorType[] {
  checkArity(op, inputs, 1)
  checkFloats(op, inputs)
  const axes = axesAttr(op, attrs, inputs[0].shape.length)
  return [{ shape: inputs[0].shape.filter((_, i) => !axes.includes(i)), dtype: inputs[0].dtype }]
}

/** Adds a reduced cotangent's axes again and repeats it. */
function expand(g: Value, x: Value, axes: readonly number[]): Value {
  return broadcast(reshape(g, keptShape(x, axes)), x.shape)
}

function reduceData(x: RefTensor, axes: readonly number[], start: number, f: (a: number, b: number) => number, y: TensorType): RefTensor {
  const out = zeros(y.shape)
  out.data.fill(start)
  const own = stridesOf(y.shape)
  let next = 0
  const strides = x.shape.map((_, i) => (axes.includes(i) ? 0 : own[next++]))
  walkStrided(x.shape, strides, 0, (i, offset) => {
    out.data[offset] = f(out.data[offset], x.data[i])
  })
  return out
}

const axesOf = (attrs: Attrs): readonly number[] => attrs.axes as readonly number[]
const remaining = (batch: number, axes: readonly number[]): number => batch - axes.filter((a) => a < batch).length

const sumOp = defineOp({
  doc: 'Sum over axes, which are removed.',
  type: (inputs, attrs) => reducedType('sum', inputs, attrs),
  vjp: ({ node, inputs: [x], cotangents: [g] }) => [expand(g as Value, x, axesOf(node.attrs))],
  reference: ([x], attrs, [y]) => [reduceData(x, axesOf(attrs), 0, (a, b) => a + b, y)],
  flops: ([x]) => sizeOf(x.shape),
  encode: axesOf,
  slice: sliceRule(([batch], { attrs }) => [axesOf(attrs).includes(batch as number) ? 'sum' : remaining(batch as number, axesOf(attrs))]),
})

const maxOp = defineOp({
  doc: 'Largest element over axes, which are removed; ties share the gradient evenly.',
  type: (inputs, attrs) => reducedType('max', inputs, attrs),
  vjp({ node, inputs: [x], outputs: [y], cotangents: [g] }) {
    const axes = axesOf(node.attrs)
    const isMax = cast(equal(x, expand(y, x, axes)), x.dtype)
    const ties = expand(sum(isMax, { axes }), x, axes)
    return [mul(expand(g as Value, x, axes), div(isMax, ties))]
  },
  reference: ([x], attrs, [y]) => [
    reduceData(x, axesOf(attrs), Number.NEGATIVE_INFINITY, (a, b) => (Number.isNaN(a) || a >= b ? a : b), y),
  ],
  flops: ([x]) => sizeOf(x.shape),
  encode: axesOf,
  slice: sliceRule(([batch], { attrs }) =>
    axesOf(attrs).includes(batch as number) ? undefined : [remaining(batch as number, axesOf(attrs))],
  ),
})

const argmaxOp = defineOp({
  doc: 'Index of the first largest element of the last axis, as i32; no gradient.',
  type(inputs) {
    checkArity('argmax', inputs, 1)
    checkFloats('argmax', inputs)
    normalizeAxis('argmax', -1, inputs[0].shape.length)
    return [{ shape: inputs[0].shape.slice(0, -1), dtype: 'i32' }]
  },
  vjp: () => [null],
  reference([x], _, [y]) {
    const width = x.shape[x.shape.length - 1]
    const out = zeros(y.shape)
    for (let row = 0; row < out.data.length; row++) {
      let best = 0
      for (let k = 1; k < width; k++) if (x.data[row * width + k] > x.data[row * width + best]) best = k
      out.data[row] = best
    }
    return [out]
  },
  flops: ([x]) => sizeOf(x.shape),
  slice: sliceRule(([batch], { inputs: [x] }) => ((batch as number) < x.shape.length - 1 ? [batch] : undefined)),
})

export const reduceOps = { sum: sumOp, max: maxOp, argmax: argmaxOp }
