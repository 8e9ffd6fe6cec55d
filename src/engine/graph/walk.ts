/** @file Walks over the part of a graph that some outputs need. */
import type { Node, Value } from './node.js'

/** Nodes that the outputs depend on, inputs before users. Creation order, so the result is stable. */
export function topologicalOrder(outputs: readonly Value[]): readonly Node[] {
  const seen = new Set<Node>()
  const stack = outputs.map((v) => v.node)
  while (stack.length > 0) {
    const node = stack.pop() as Node
    if (seen.has(node)) continue
    seen.add(node)
    for (const input of node.inputs) stack.push(input.node)
  }
  return [...seen].sort((a, b) => a.id - b.id)
}

/** Users of every value among `nodes`, in node order; a node that reads a value twice is listed once. */
export function usersOf(nodes: readonly Node[]): ReadonlyMap<Value, readonly Node[]> {
  const users = new Map<Value, Node[]>()
  for (const node of nodes) {
    for (const input of new Set(node.inputs)) {
      const list = users.get(input)
      if (list) list.push(node)
      else users.set(input, [node])
    }
  }
  return users
}

/** Values that depend on one of `sources` (the sources included), among the nodes that the outputs need. */
export function dependents(outputs: readonly Value[], sources: Iterable<Value>): ReadonlySet<Value> {
  const reached = new Set<Value>(sources)
  for (const node of topologicalOrder(outputs)) {
    if (node.inputs.some((v) => reached.has(v))) for (const v of node.outputs) reached.add(v)
  }
  return reached
}
