/**
 * @file Weights that are one set repeated over the groups are one set: the groups become one batch. Gradients of single samples are traced
 * with the parameters repeated, so that each sample has a gradient of its own; forward and backward passes need no copies.
 */
import type { TensorType } from '../graph/node.js'
import { type IrBuilder, type IrGraph, type IrNode, type IrValue, rewrite } from './ir.js'

export function shareWeights(graph: IrGraph): IrGraph {
  return rewrite(graph, (node, inputs, builder) => {
    const shared = shareConv(node, inputs, builder) ?? shareMatmul(node, inputs, builder)
    return shared ? [builder.reshape(shared, node.outputs[0].shape)] : builder.clone(node, inputs)
  })
}

/** The set that a value repeats along its first axis, of which it has more than one: [G, …] made of [1, …]. */
function repeated(v: IrValue | undefined): IrValue | undefined {
  if (v?.node.op !== 'broadcast') return undefined
  const [source] = v.node.inputs
  const alike = source.shape.length === v.shape.length && source.shape.every((d, axis) => (axis === 0 ? d === 1 : d === v.shape[axis]))
  return alike ? source : undefined
}

/** [G, N, …] -> [1, G N, …], the same elements. */
const joined = ({ shape: [groups, rows, ...rest], dtype }: TensorType): TensorType => ({ shape: [1, groups * rows, ...rest], dtype })
const join = (builder: IrBuilder, v: IrValue): IrValue => builder.reshape(v, joined(v).shape)

function shareConv(node: IrNode, [x, w, bias]: readonly IrValue[], builder: IrBuilder): IrValue | undefined {
  if (node.op !== 'conv2d' && node.op !== 'conv2d_input_grad') return undefined
  const sources = (bias ? [w, bias] : [w]).map(repeated)
  if (sources.includes(undefined)) return undefined
  return builder.clone(node, [join(builder, x), ...(sources as IrValue[])], [joined(node.outputs[0])])[0]
}

/** Rows of a times one matrix: [G, N, K] [G, K, M]. */
function shareMatmul(node: IrNode, [a, b]: readonly IrValue[], builder: IrBuilder): IrValue | undefined {
  if (node.op !== 'matmul' || node.attrs.transposeA === true || a.shape.length !== 3) return undefined
  const matrix = repeated(b)
  return matrix && builder.clone(node, [join(builder, a), matrix], [joined(node.outputs[0])])[0]
}
