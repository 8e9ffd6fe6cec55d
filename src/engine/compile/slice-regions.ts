/** @file Regions: batched nodes of one extent and level run as one loop; what crosses their borders is stored or computed again. */
import { type BatchAxes, type BatchedNode, isAnchor } from './batch-axes.js'
import { isMappable } from './elementwise-ops.js'
import { bytesOf, type IrGraph, type IrNode, type IrValue } from './ir.js'
import { packedMask, unpackedMask } from './pack-masks.js'
import type { CompileOptions } from './program.js'
import { cutBatch, type SliceParts } from './slice-rows.js'

export interface Region {
  readonly extent: number
  readonly level: number
  readonly cut: SliceParts
  /** Own nodes and those of earlier levels that are computed again, in topological order. */
  readonly nodes: readonly BatchedNode[]
  readonly own: ReadonlySet<IrNode>
}

export interface Regions {
  readonly list: readonly Region[]
  /** Batched values with a whole buffer outside their region. */
  readonly stored: ReadonlySet<IrValue>
}

/** Activations that one region may keep for another before they are computed again instead. */
const defaultMemoryBudget = 256 * 2 ** 20
const leastReusedRowBytes = 4096

export function formRegions(graph: IrGraph, { labels, batched }: BatchAxes, options: CompileOptions): Regions {
  const groups = new Map<string, BatchedNode[]>()
  for (const node of graph.nodes) {
    const entry = batched.get(node)
    if (!entry) continue
    const key = `${entry.extent}/${entry.level}`
    const group = groups.get(key)
    if (group) group.push(entry)
    else groups.set(key, [entry])
  }
  const kept = [...groups.values()].flatMap((nodes) => {
    const cut = isWorthIt(nodes, typeof options.slicing === 'object' ? 1 : leastReusedRowBytes)
      ? cutBatch(nodes, nodes[0].extent, options)
      : undefined
    return cut ? [{ nodes, cut, extent: nodes[0].extent, level: nodes[0].level, own: new Set(nodes.map((n) => n.node)) }] : []
  })
  kept.sort((a, b) => a.level - b.level || a.extent - b.extent)
  const regionOf = new Map<IrNode, Region>(kept.flatMap((region) => region.nodes.map((n) => [n.node, region] as const)))
  const stored = usedOutside(graph, labels, regionOf)
  const position = new Map(graph.nodes.map((node, i) => [node, i]))
  const list = kept.map((region) => {
    const again = crossLevels(region, labels, batched, regionOf, stored, options.memoryBudget ?? defaultMemoryBudget)
    const nodes = [...region.nodes, ...again].sort((a, b) => position.get(a.node)! - position.get(b.node)!)
    return { ...region, nodes }
  })
  return { list, stored }
}

/** A region pays when an image op is in it and a sizeable value is made and used inside; asked-for row counts take any size. */
function isWorthIt(nodes: readonly BatchedNode[], leastRowBytes: number): boolean {
  if (!nodes.some((n) => isAnchor(n.node))) return false
  const inside = new Set(nodes.map((n) => n.node))
  return nodes.some(({ node, extent, inputAxes }) =>
    node.inputs.some((v, i) => inputAxes[i] !== null && inside.has(v.node) && bytesOf(v) / extent >= leastRowBytes),
  )
}

/** Values of regions that the program puts out or that nodes outside regions read. */
function usedOutside(graph: IrGraph, labels: BatchAxes['labels'], regionOf: ReadonlyMap<IrNode, Region>): Set<IrValue> {
  const isInside = (v: IrValue): boolean => labels.has(v) && regionOf.has(v.node)
  const stored = new Set(graph.outputs.filter(isInside))
  for (const node of graph.nodes) if (!regionOf.has(node)) for (const v of node.inputs) if (isInside(v)) stored.add(v)
  return stored
}

/** Stores what this region needs of earlier levels when that fits the budget; gives the nodes to compute again. */
function crossLevels(
  region: Region,
  labels: BatchAxes['labels'],
  batched: BatchAxes['batched'],
  regionOf: ReadonlyMap<IrNode, Region>,
  stored: Set<IrValue>,
  budget: number,
): readonly BatchedNode[] {
  const again = new Map<IrNode, BatchedNode>()
  const isMissing = (v: IrValue): boolean =>
    labels.has(v) && regionOf.has(v.node) && !region.own.has(v.node) && !stored.has(v) && !again.has(v.node)
  const needed = new Set(region.nodes.flatMap((n) => n.node.inputs.filter(isMissing)))
  const repeat = (v: IrValue): void => {
    for (const output of v.node.outputs) needed.delete(output)
    again.set(v.node, batched.get(v.node)!)
    for (const input of v.node.inputs) if (isMissing(input)) needed.add(input)
  }
  // Values added while a set is walked are walked too; what came late may make others cheaper.
  for (let before = -1; before < again.size; ) {
    before = again.size
    for (const v of needed) if (isCheaperAgain(v, needed, isMissing)) repeat(v)
  }
  const bytes = [...needed].reduce((n, v) => n + bytesOf(v), 0)
  if (bytes > budget) for (const v of needed) repeat(v)
  for (const v of needed) stored.add(v)
  return [...again.values()]
}

/** An elementwise result whose operands take no more room than itself beyond what is kept anyway; the bytes of a mask, where nothing more is kept for them. */
function isCheaperAgain(v: IrValue, needed: ReadonlySet<IrValue>, isMissing: (v: IrValue) => boolean): boolean {
  const mask = packedMask(v)
  if (mask) return mask.node.inputs.every((input) => isAtHand(input, needed, isMissing))
  if (!isMappable(v.node.op) && !unpackedMask(v)) return false
  const extra = v.node.inputs.filter((input) => isMissing(input) && !needed.has(input))
  return extra.reduce((n, input) => n + bytesOf(input), 0) <= bytesOf(v)
}

/** Elementwise steps that are looked back through. */
const mostSteps = 8

/** Kept anyway, or made of what is by elementwise steps. */
function isAtHand(v: IrValue, needed: ReadonlySet<IrValue>, isMissing: (v: IrValue) => boolean, steps = mostSteps): boolean {
  if (!isMissing(v) || needed.has(v)) return true
  return steps > 0 && isMappable(v.node.op) && v.node.inputs.every((input) => isAtHand(input, needed, isMissing, steps - 1))
}
