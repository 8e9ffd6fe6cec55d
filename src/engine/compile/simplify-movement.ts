/** @file Simplification of ops that only move elements, and of reductions over axes of size one. */
import { type Shape, sameShape } from '../tensor/shape.js'
import type { IrBuilder, IrNode, IrValue } from './ir.js'

type MovementRule = (node: IrNode, x: IrValue, builder: IrBuilder) => IrValue | undefined

const identityWhenSameShape: MovementRule = (node, x) => (sameShape(x.shape, node.outputs[0].shape) ? x : undefined)

function reshapeRule(node: IrNode, x: IrValue, builder: IrBuilder): IrValue | undefined {
  const { shape } = node.outputs[0]
  const source = x.node.op === 'reshape' ? x.node.inputs[0] : x
  if (sameShape(source.shape, shape)) return source
  if (source !== x) return builder.reshape(source, shape)
  return uniformBroadcast(x, shape, builder)
}

/** A scalar broadcast to any shape, reshaped, is the scalar broadcast to the new shape. */
function uniformBroadcast(x: IrValue, shape: Shape, builder: IrBuilder): IrValue | undefined {
  if (x.node.op !== 'broadcast' || x.node.inputs[0].shape.length !== 0) return undefined
  return builder.add('broadcast', x.node.inputs, [], [{ shape, dtype: x.dtype }], { attrs: { shape } })[0]
}

function transposeRule(node: IrNode, x: IrValue, builder: IrBuilder): IrValue | undefined {
  const permutation = node.numbers
  if (permutation.every((axis, i) => axis === i)) return x
  const [y] = node.outputs
  if (x.node.op === 'transpose') {
    const composed = permutation.map((axis) => x.node.numbers[axis])
    return builder.add('transpose', x.node.inputs, composed, [y], { attrs: { permutation: composed } })[0]
  }
  const moved = permutation.filter((axis) => x.shape[axis] !== 1)
  // Only axes of size one move: the elements keep their order.
  return moved.every((axis, i) => i === 0 || axis > moved[i - 1]) ? builder.reshape(x, y.shape) : undefined
}

function broadcastRule(node: IrNode, x: IrValue, builder: IrBuilder): IrValue | undefined {
  const [y] = node.outputs
  if (sameShape(x.shape, y.shape)) return x
  const added = y.shape.length - x.shape.length
  if (y.shape.every((d, i) => d === (i < added ? 1 : x.shape[i - added]))) return builder.reshape(x, y.shape)
  if (x.node.op !== 'broadcast') return undefined
  return builder.add('broadcast', x.node.inputs, [], [y], { attrs: node.attrs })[0]
}

function sumRule(node: IrNode, x: IrValue, builder: IrBuilder): IrValue | undefined {
  const [y] = node.outputs
  if (node.numbers.every((axis) => x.shape[axis] === 1)) return builder.reshape(x, y.shape)
  if (node.op !== 'sum' || x.node.op !== 'sum') return undefined
  const source = x.node.inputs[0]
  const kept = source.shape.map((_, axis) => axis).filter((axis) => !x.node.numbers.includes(axis))
  const axes = [...x.node.numbers, ...node.numbers.map((axis) => kept[axis])].sort((a, b) => a - b)
  return builder.add('sum', [source], axes, [y], { attrs: { axes } })[0]
}

const rules: Partial<Record<IrNode['op'], MovementRule>> = {
  reshape: reshapeRule,
  transpose: transposeRule,
  broadcast: broadcastRule,
  sum: sumRule,
  max: sumRule,
  // A slice that keeps every element and a pad that adds none have the shape of their input.
  slice: identityWhenSameShape,
  pad: identityWhenSameShape,
  concat: (node, x) => (node.inputs.length === 1 ? x : undefined),
  cast: (node, x) => (x.dtype === node.outputs[0].dtype ? x : undefined),
  copy: (_, x) => x,
}

export function simplifyMovement(node: IrNode, inputs: readonly IrValue[], builder: IrBuilder): IrValue | undefined {
  return inputs.length > 0 ? rules[node.op]?.(node, inputs[0], builder) : undefined
}
