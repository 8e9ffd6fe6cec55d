/** @file Brings a traced graph into the compiler's form: attributes become the numbers of the program contract. */
import { AludelError } from '../../errors.js'
import type { Node, Value } from '../graph/node.js'
import { topologicalOrder } from '../graph/walk.js'
import { registry } from '../ops/registry.js'
import { convert } from '../tensor/dtype.js'
import { sizeOf } from '../tensor/shape.js'
import { IrBuilder, type IrGraph, type IrValue } from './ir.js'

/** What compile() takes: a graph with its inputs and outputs in argument order. */
export interface Traceable {
  readonly inputs: readonly Value[]
  readonly outputs: readonly Value[]
}

export function importGraph(traced: Traceable): IrGraph {
  const builder = new IrBuilder()
  const values = new Map<Value, IrValue>()
  const inputs = traced.inputs.map((v, i) => builder.input(i, v))
  for (const [i, v] of traced.inputs.entries()) values.set(v, inputs[i])
  for (const node of topologicalOrder(traced.outputs)) {
    if (values.has(node.outputs[0])) continue
    if (node.op === 'input') {
      throw new AludelError(
        'internal',
        'compile: the outputs depend on an input that is not among the inputs; pass it to the traced function',
      )
    }
    const outputs = node.op === 'constant' ? [importConstant(builder, node)] : importNode(builder, node, values)
    for (const [i, v] of node.outputs.entries()) values.set(v, outputs[i])
  }
  return { nodes: builder.nodes, inputs, outputs: traced.outputs.map((v) => values.get(v)!) }
}

function importConstant(builder: IrBuilder, node: Node): IrValue {
  const [type] = node.outputs
  const stored = node.attrs.data
  const data = typeof stored === 'number' ? [stored] : (stored as readonly number[])
  const full = data.length === 1 ? new Array<number>(sizeOf(type.shape)).fill(data[0]) : data
  return builder.constant(convert(type.dtype, full), type)
}

function importNode(builder: IrBuilder, node: Node, values: ReadonlyMap<Value, IrValue>): readonly IrValue[] {
  const numbers = registry[node.op].encode?.(node.attrs, node.inputs, node.outputs) ?? []
  const inputs = node.inputs.map((v) => values.get(v)!)
  if (registry[node.op].alias) return inputs.slice(0, node.outputs.length)
  return builder.add(node.op, inputs, numbers, node.outputs, { attrs: node.attrs })
}
