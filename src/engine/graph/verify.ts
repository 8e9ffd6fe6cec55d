/** @file Checks the invariants of a graph after every pass: one owner, ordered ids, types that the rules derive again. */
import { AludelError } from '../../errors.js'
import type { Node, Value } from './node.js'
import { formatType } from './print.js'
import { topologicalOrder } from './walk.js'

/** @throws AludelError 'internal' naming the first node that breaks an invariant. */
export function verify(outputs: readonly Value[]): void {
  const graph = outputs[0]?.node.graph
  for (const node of topologicalOrder(outputs)) {
    const fail = (why: string): never => {
      throw new AludelError('internal', `verify: node ${node.id} (${node.op}) ${why}`)
    }
    if (node.graph !== graph) fail('belongs to another graph')
    if (graph.nodes[node.id] !== node) fail('is not at its id in the graph')
    for (const input of node.inputs) {
      if (input.node.graph !== graph) fail('has an input of another graph')
      if (input.node.id >= node.id) fail(`reads node ${input.node.id}, which is not older`)
      if (input.node.outputs[input.index] !== input) fail(`reads a value that node ${input.node.id} does not own`)
    }
    verifyTypes(node, fail)
  }
}

function verifyTypes(node: Node, fail: (why: string) => never): void {
  const derived = node.graph.typeRule(node.op, node.inputs, node.attrs)
  if (derived.length !== node.outputs.length) fail(`has ${node.outputs.length} outputs where its rule gives ${derived.length}`)
  node.outputs.forEach((v, i) => {
    if (v.node !== node || v.index !== i) fail(`does not own its output ${i}`)
    if (formatType(v) !== formatType(derived[i]))
      fail(`has output ${i} of type ${formatType(v)} where its rule gives ${formatType(derived[i])}`)
  })
}
