/** @file Bottom-up rewriting into a fresh graph: every pass that changes a graph goes through here, so dead nodes vanish and sharing stays. */
import { AludelError } from '../../errors.js'
import { Graph } from './graph.js'
import type { Node, Value } from './node.js'
import { formatType } from './print.js'
import { topologicalOrder } from './walk.js'

/** Replacement of a node, given its rewritten inputs and the new graph; undefined keeps the node. */
export type RewriteRule = (node: Node, inputs: readonly Value[], graph: Graph) => readonly Value[] | undefined

export interface Rewritten {
  readonly graph: Graph
  readonly outputs: readonly Value[]
  /** New value of an old one; undefined for values the outputs do not need. */
  readonly valueOf: (old: Value) => Value | undefined
}

/** Copies what `outputs` need into a new graph, node by node, through `rule`. Types of replaced outputs must not change. */
export function rewrite(outputs: readonly Value[], rule: RewriteRule, graph = new Graph(graphOf(outputs).typeRule)): Rewritten {
  const images = new Map<Value, Value>()
  for (const node of topologicalOrder(outputs)) {
    const inputs = node.inputs.map((v) => images.get(v) as Value)
    const replaced = rule(node, inputs, graph) ?? graph.node(node.op, inputs, node.attrs)
    node.outputs.forEach((old, i) => {
      const image = replaced[i]
      if (!image || formatType(image) !== formatType(old)) {
        const came = image ? formatType(image) : 'nothing'
        throw new AludelError('internal', `rewrite of ${node.op}: expected output ${i} of type ${formatType(old)} but received ${came}`)
      }
      images.set(old, image)
    })
  }
  return { graph, outputs: outputs.map((v) => images.get(v) as Value), valueOf: (old) => images.get(old) }
}

function graphOf(outputs: readonly Value[]): Graph {
  if (outputs.length === 0) throw new AludelError('internal', 'rewrite: expected at least one output')
  return outputs[0].node.graph
}
