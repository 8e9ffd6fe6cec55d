/** @file Order of execution: small live memory first, writes to arguments last (until the first of them a step can be cancelled). */
import { bytesOf, type IrGraph, type IrNode, type IrValue } from './ir.js'
import { rootOf } from './placement.js'

const isStored = (node: IrNode): boolean => node.op === 'input' || node.op === 'constant'

/** Nodes that make an instruction or an alias, in execution order. */
export function schedule(graph: IrGraph): readonly IrNode[] {
  const nodes = graph.nodes.filter((node) => !isStored(node))
  const traced = writersLast(nodes, graph.outputs)
  const greedy = writersLast(smallestFirst(nodes, graph.outputs), graph.outputs)
  return peakLiveBytes(greedy, graph.outputs) < peakLiveBytes(traced, graph.outputs) ? greedy : traced
}

/** Moves nodes that write an output, and what follows from them, behind all others; keeps the order within both. */
function writersLast(nodes: readonly IrNode[], outputs: readonly IrValue[]): IrNode[] {
  const late = new Set<IrNode>(outputs.map((v) => rootOf(v).node))
  for (const node of nodes) if (node.inputs.some((v) => late.has(v.node) && !isStored(v.node))) late.add(node)
  return [...nodes.filter((node) => !late.has(node)), ...nodes.filter((node) => late.has(node))]
}

/** Reads left per root; reading the last one frees it. */
function readCounts(nodes: readonly IrNode[], outputs: readonly IrValue[]): Map<IrValue, number> {
  const reads = new Map<IrValue, number>()
  const count = (v: IrValue): void => void reads.set(rootOf(v), (reads.get(rootOf(v)) ?? 0) + 1)
  for (const node of nodes) if (node.op !== 'reshape') for (const root of rootsRead(node)) count(root)
  for (const output of outputs) count(output)
  return reads
}

const rootsRead = (node: IrNode): Set<IrValue> => new Set(node.inputs.map(rootOf))

export function peakLiveBytes(nodes: readonly IrNode[], outputs: readonly IrValue[]): number {
  const reads = readCounts(nodes, outputs)
  let live = 0
  let peak = 0
  for (const node of nodes) {
    if (node.op === 'reshape') continue
    for (const output of node.outputs) live += bytesOf(output)
    peak = Math.max(peak, live)
    for (const output of node.outputs) if (!reads.has(output)) live -= bytesOf(output)
    for (const root of rootsRead(node)) {
      const left = reads.get(root)! - 1
      reads.set(root, left)
      if (left === 0 && !isStored(root.node)) live -= bytesOf(root)
    }
  }
  return peak
}

/** Longest list of ready nodes that is searched at each step; beyond it the earliest ones compete. */
const readyWindow = 128

/** List scheduling: of the ready nodes, the one that frees most (or adds least) runs next; ties go to the traced order. */
function smallestFirst(nodes: readonly IrNode[], outputs: readonly IrValue[]): IrNode[] {
  const reads = readCounts(nodes, outputs)
  const waiting = new Map<IrNode, number>()
  const users = new Map<IrNode, IrNode[]>()
  const ready: IrNode[] = []
  const position = new Map(nodes.map((node, i) => [node, i]))
  for (const node of nodes) {
    const sources = new Set(node.inputs.map((v) => v.node).filter((source) => !isStored(source)))
    waiting.set(node, sources.size)
    if (sources.size === 0) ready.push(node)
    for (const source of sources) users.set(source, [...(users.get(source) ?? []), node])
  }
  const order: IrNode[] = []
  while (ready.length > 0) {
    const node = ready.splice(cheapest(ready, reads), 1)[0]
    order.push(node)
    if (node.op !== 'reshape') for (const root of rootsRead(node)) reads.set(root, reads.get(root)! - 1)
    for (const user of users.get(node) ?? []) {
      const left = waiting.get(user)! - 1
      waiting.set(user, left)
      if (left === 0) insertByPosition(ready, user, position)
    }
  }
  return order
}

function cheapest(ready: readonly IrNode[], reads: ReadonlyMap<IrValue, number>): number {
  let best = 0
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < Math.min(ready.length, readyWindow); i++) {
    const growth = growthOf(ready[i], reads)
    if (growth < least) [best, least] = [i, growth]
  }
  return best
}

function growthOf(node: IrNode, reads: ReadonlyMap<IrValue, number>): number {
  if (node.op === 'reshape') return Number.NEGATIVE_INFINITY
  let growth = 0
  for (const output of node.outputs) growth += bytesOf(output)
  for (const root of rootsRead(node)) if (reads.get(root) === 1 && !isStored(root.node)) growth -= bytesOf(root)
  return growth
}

function insertByPosition(ready: IrNode[], node: IrNode, position: ReadonlyMap<IrNode, number>): void {
  const at = position.get(node)!
  let low = 0
  for (let high = ready.length; low < high; ) {
    const middle = (low + high) >> 1
    if (position.get(ready[middle])! < at) low = middle + 1
    else high = middle
  }
  ready.splice(low, 0, node)
}
