/** @file Local algebra on every node: identities, inverse pairs, folded constants. Rebuilding also merges equal nodes and drops dead ones. */
import { registry } from '../ops/registry.js'
import { convert, type TypedArray } from '../tensor/dtype.js'
import { broadcastShapes, type Shape, sameShape, sizeOf } from '../tensor/shape.js'
import { isMappable } from './elementwise-ops.js'
import type { IrBuilder, IrGraph, IrNode, IrValue } from './ir.js'
import { rewrite } from './ir.js'
import { simplifyMovement } from './simplify-movement.js'

/** Results above this size are cheaper to compute at run time than to store. */
const maxFoldedElements = 1024
const foldable: ReadonlySet<string> = new Set([
  'iota',
  'cast',
  'sum',
  'max',
  'reshape',
  'transpose',
  'slice',
  'pad',
  'concat',
  'reverse',
  'one_hot',
])

export function simplify(graph: IrGraph): IrGraph {
  return rewrite(graph, (node, inputs, builder) => {
    if (node.op === 'input' || node.op === 'constant') return builder.clone(node, inputs)
    const folded = foldConstants(node, inputs, builder)
    if (folded) return [folded]
    const direct = isMappable(node.op) ? skipBroadcasts(inputs, node.outputs[0].shape) : inputs
    const simpler = simplifyElementwise(node, direct, builder) ?? simplifyMovement(node, direct, builder)
    return simpler ? [simpler] : builder.clone(node, direct)
  })
}

function foldConstants(node: IrNode, inputs: readonly IrValue[], builder: IrBuilder): IrValue | undefined {
  const [y] = node.outputs
  if (!(isMappable(node.op) || foldable.has(node.op)) || sizeOf(y.shape) > maxFoldedElements) return undefined
  if (inputs.some((v) => v.node.data === undefined)) return undefined
  const tensors = inputs.map((v) => ({ shape: v.shape, data: Float64Array.from(v.node.data!) }))
  const [result] = registry[node.op].reference(tensors, node.attrs, node.outputs)
  return builder.constant(convert(y.dtype, result.data), y)
}

/** Elementwise ops broadcast by themselves: a broadcast in front is dropped while the other operands still give the full shape. */
function skipBroadcasts(inputs: readonly IrValue[], shape: Shape): readonly IrValue[] {
  const skipped = [...inputs]
  for (const [i, v] of inputs.entries()) {
    if (v.node.op !== 'broadcast') continue
    skipped[i] = v.node.inputs[0]
    const reached = skipped.reduce<Shape>((s, x) => broadcastShapes('broadcast', s, x.shape), [])
    if (!sameShape(reached, shape)) skipped[i] = v
  }
  return skipped
}

/** The number that a value holds everywhere, when that is known. */
function uniform(v: IrValue): number | undefined {
  while (v.node.op === 'broadcast' || v.node.op === 'reshape') v = v.node.inputs[0]
  const data: TypedArray | undefined = v.node.data
  return data && data.length <= maxFoldedElements && data.every((x) => x === data[0]) ? data[0] : undefined
}

type Rule = (inputs: readonly IrValue[], make: (op: IrNode['op'], ...inputs: IrValue[]) => IrValue) => IrValue | undefined

const operandOf = (v: IrValue, op: IrNode['op']): IrValue | undefined => (v.node.op === op ? v.node.inputs[0] : undefined)

const involution =
  (op: IrNode['op']): Rule =>
  ([x]) =>
    operandOf(x, op)

const idempotent =
  (op: IrNode['op']): Rule =>
  ([x]) =>
    operandOf(x, op) && x

const rules: Partial<Record<IrNode['op'], Rule>> = {
  neg: ([x], make) => operandOf(x, 'neg') ?? (x.node.op === 'sub' ? make('sub', x.node.inputs[1], x.node.inputs[0]) : undefined),
  reciprocal: involution('reciprocal'),
  abs: idempotent('abs'),
  relu: idempotent('relu'),
  add: ([a, b], make) => {
    if (uniform(b) === 0) return a
    if (uniform(a) === 0) return b
    const right = operandOf(b, 'neg')
    if (right) return make('sub', a, right)
    const left = operandOf(a, 'neg')
    return left && make('sub', b, left)
  },
  sub: ([a, b], make) => {
    if (uniform(b) === 0) return a
    if (uniform(a) === 0) return make('neg', b)
    const right = operandOf(b, 'neg')
    return right && make('add', a, right)
  },
  mul: ([a, b], make) => {
    if (uniform(b) === 1) return a
    if (uniform(a) === 1) return b
    if (uniform(b) === -1) return make('neg', a)
    if (uniform(a) === -1) return make('neg', b)
    return a === b ? make('square', a) : undefined
  },
  div: ([a, b], make) => (uniform(b) === 1 ? a : uniform(a) === 1 ? make('reciprocal', b) : undefined),
  pow: ([a, b], make) => {
    const exponent = uniform(b)
    if (exponent === 1) return a
    if (exponent === 2) return make('square', a)
    return exponent === -1 ? make('reciprocal', a) : undefined
  },
}

/** A simpler value of the node's shape and dtype; an operand that must still expand is broadcast. */
function simplifyElementwise(node: IrNode, inputs: readonly IrValue[], builder: IrBuilder): IrValue | undefined {
  const [y] = node.outputs
  const make = (op: IrNode['op'], ...operands: IrValue[]): IrValue => {
    const shape = operands.reduce<Shape>((s, v) => broadcastShapes(op, s, v.shape), [])
    return builder.add(op, operands, [], [{ shape, dtype: y.dtype }])[0]
  }
  const found = rules[node.op]?.(inputs, make)
  if (!found || found.dtype !== y.dtype) return undefined
  return sameShape(found.shape, y.shape) ? found : builder.add('broadcast', [found], [], [y], { attrs: { shape: y.shape } })[0]
}
