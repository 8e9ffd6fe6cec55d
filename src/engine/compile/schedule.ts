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

/** Which bytes every node reads, and how many reads are left per root; reading the last one frees it. */
class Reads {
  readonly roots: ReadonlyMap<IrNode, readonly IrValue[]>
  private readonly left = new Map<IrValue, number>()

  constructor(nodes: readonly IrNode[], outputs: readonly IrValue[]) {
    const makers = nodes.filter((node) => node.op !== 'reshape')
    this.roots = new Map(makers.map((node) => [node, [...new Set(node.inputs.map(rootOf))]]))
    for (const roots of this.roots.values()) for (const root of roots) this.count(root)
    for (const output of outputs) this.count(rootOf(output))
  }

  private count(root: IrValue): void {
    this.left.set(root, (this.left.get(root) ?? 0) + 1)
  }

  isRead(v: IrValue): boolean {
    return this.left.has(v)
  }

  /** Bytes that running `node` frees. */
  freedBy(node: IrNode): number {
    let bytes = 0
    for (const root of this.roots.get(node)!) if (this.left.get(root) === 1 && !isStored(root.node)) bytes += bytesOf(root)
    return bytes
  }

  run(node: IrNode): void {
    for (const root of this.roots.get(node)!) this.left.set(root, this.left.get(root)! - 1)
  }
}

export function peakLiveBytes(nodes: readonly IrNode[], outputs: readonly IrValue[]): number {
  const reads = new Reads(nodes, outputs)
  let live = 0
  let peak = 0
  for (const node of nodes) {
    if (node.op === 'reshape') continue
    live += madeBy(node)
    peak = Math.max(peak, live)
    for (const output of node.outputs) if (!reads.isRead(output)) live -= bytesOf(output)
    live -= reads.freedBy(node)
    reads.run(node)
  }
  return peak
}

const madeBy = (node: IrNode): number => node.outputs.reduce((n, v) => n + bytesOf(v), 0)

/** Longest list of ready nodes that is searched at each step; beyond it the earliest ones compete. */
const readyWindow = 64

/** List scheduling: of the ready nodes, the one that frees most (or adds least) runs next; ties go to the traced order. */
function smallestFirst(nodes: readonly IrNode[], outputs: readonly IrValue[]): IrNode[] {
  const reads = new Reads(nodes, outputs)
  const waiting = new Map<IrNode, number>()
  const users = new Map<IrNode, IrNode[]>()
  const ready: IrNode[] = []
  const position = new Map(nodes.map((node, i) => [node, i]))
  for (const node of nodes) {
    const sources = new Set(node.inputs.map((v) => v.node).filter((source) => !isStored(source)))
    waiting.set(node, sources.size)
    if (sources.size === 0) ready.push(node)
    for (const source of sources) appendTo(users, source, node)
  }
  const order: IrNode[] = []
  while (ready.length > 0) {
    const node = ready.splice(cheapest(ready, reads), 1)[0]
    order.push(node)
    if (node.op !== 'reshape') reads.run(node)
    for (const user of users.get(node) ?? []) {
      const left = waiting.get(user)! - 1
      waiting.set(user, left)
      if (left === 0) insertByPosition(ready, user, position)
    }
  }
  return order
}

function appendTo(lists: Map<IrNode, IrNode[]>, key: IrNode, node: IrNode): void {
  const list = lists.get(key)
  if (list) list.push(node)
  else lists.set(key, [node])
}

function cheapest(ready: readonly IrNode[], reads: Reads): number {
  let best = 0
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < Math.min(ready.length, readyWindow); i++) {
    if (ready[i].op === 'reshape') return i
    const growth = madeBy(ready[i]) - reads.freedBy(ready[i])
    if (growth < least) [best, least] = [i, growth]
  }
  return best
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
