/**
 * @file Masks between regions as bytes: of a comparison that another region reads, a quarter is kept. The gradient of a ReLU asks for a sign alone, so
 * that nothing else of a frozen network has to be kept or computed again for the gradient of its input.
 */
import type { TensorType } from '../graph/node.js'
import { comparisons } from '../ops/elementwise-functions.js'
import { type IrBuilder, type IrGraph, type IrNode, type IrValue, rewrite } from './ir.js'

/** 0 or 1 everywhere. */
const isMask = ({ node }: IrValue): boolean => (comparisons as readonly string[]).includes(node.op)

const typed = ({ shape }: TensorType, dtype: TensorType['dtype']): TensorType => ({ shape, dtype })

const castTo = (builder: IrBuilder, v: IrValue, dtype: TensorType['dtype']): IrValue =>
  builder.add('cast', [v], [], [typed(v, dtype)], { attrs: { dtype } })[0]

/** The mask whose bytes `v` is. */
export const packedMask = ({ node, dtype }: IrValue): IrValue | undefined =>
  node.op === 'cast' && dtype === 'u8' && isMask(node.inputs[0]) ? node.inputs[0] : undefined

/** The mask that was kept as bytes and is now `v`, in float32 again. */
export const unpackedMask = ({ node, dtype }: IrValue): IrValue | undefined =>
  node.op === 'cast' && dtype === 'f32' ? packedMask(node.inputs[0]) : undefined

/** The graph with masks that cross from one region to another going through bytes; itself where there are none. `regionOf` gives the region of a node. */
export function packMasks(graph: IrGraph, regionOf: (node: IrNode) => unknown): IrGraph {
  const crosses = (v: IrValue, node: IrNode): boolean => {
    const [from, to] = [regionOf(v.node), regionOf(node)]
    return isMask(v) && from !== undefined && to !== undefined && from !== to
  }
  if (!graph.nodes.some((node) => node.inputs.some((v) => crosses(v, node)))) return graph
  return rewrite(graph, (node, inputs, builder) => {
    const read = inputs.map((v, i) => (crosses(node.inputs[i], node) ? castTo(builder, castTo(builder, v, 'u8'), 'f32') : v))
    return builder.clone(node, read)
  })
}
