/**
 * @file Attention without a map: a normalised map that is only pooled, or a ReLU map that is only pooled and summed, is not written;
 * the norm op makes both itself.
 */
import type { Attrs } from '../graph/node.js'
import { type IrGraph, type IrNode, type IrValue, rewrite } from './ir.js'

/** Who reads a map, when no one else does. */
interface Readers {
  readonly pool: IrNode
  readonly sums: IrNode | undefined
}

export function fuseNormReaders(graph: IrGraph): IrGraph {
  const readers = readersOf(graph)
  if (readers.size === 0) return graph
  const normOf = new Map<IrNode, IrNode>()
  for (const [norm, { pool, sums }] of readers) for (const reader of sums ? [pool, sums] : [pool]) normOf.set(reader, norm)
  const fused = new Map<IrNode, readonly IrValue[]>()
  return rewrite(graph, (node, inputs, builder) => {
    const read = readers.get(node)
    if (read) {
      const { pool, sums } = read
      const power = sums?.attrs.power as number | undefined
      const attrs: Attrs = { ...node.attrs, pool: 2, ...(power !== undefined && { power }) }
      const numbers = [...node.numbers.slice(0, 4), 2, ...(power === undefined ? [] : [power])]
      const types = [pool.outputs[0], ...node.outputs.slice(1), ...(sums?.outputs ?? [])]
      const outputs = builder.add('norm_act_pool', inputs, numbers, types, { attrs })
      fused.set(node, outputs)
      // The map itself has no value any more; its readers are replaced below.
      return outputs.slice(0, node.outputs.length)
    }
    const norm = normOf.get(node)
    if (!norm) return builder.clone(node, inputs)
    const outputs = fused.get(norm) as readonly IrValue[]
    return node.op === 'avg_pool2d' ? outputs.slice(0, 1) : outputs.slice(norm.outputs.length)
  })
}

/** The norms whose map goes into one 2x2 average pool and at most one sum of powers, and nowhere else. */
function readersOf({ nodes, outputs }: IrGraph): Map<IrNode, Readers> {
  const users = new Map<IrValue, IrNode[]>()
  for (const node of nodes) for (const v of new Set(node.inputs)) users.set(v, [...(users.get(v) ?? []), node])
  const found = new Map<IrNode, Readers>()
  for (const node of nodes) {
    const [y] = node.outputs
    if (node.op !== 'norm_act_pool' || node.attrs.pool !== 0 || node.attrs.power !== undefined || outputs.includes(y)) continue
    const around = users.get(y) ?? []
    const pool = around.find(({ op, numbers }) => op === 'avg_pool2d' && numbers.every((n) => n === 2))
    const sums = node.attrs.relu ? around.find(({ op }) => op === 'power_sums') : undefined
    if (pool && around.length === (sums ? 2 : 1)) found.set(node, { pool, sums })
  }
  return found
}
