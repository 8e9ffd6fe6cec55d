/** @file Which nodes treat the samples of a batch one by one: batch axes from the ops' slicing rules, and levels between batch reductions. */
import type { Node } from '../graph/node.js'
import type { BatchAxis, SlicedOutput } from '../ops/define.js'
import type { Opcode } from '../ops/opcodes.js'
import { registry } from '../ops/registry.js'
import { maxRank } from '../tensor/shape.js'
import { bytesOf, type IrGraph, type IrNode, type IrValue } from './ir.js'

/** A value with one row per sample. `level` counts the batch reductions that it depends on. */
export interface BatchLabel {
  readonly extent: number
  readonly axis: number
  readonly level: number
}

export interface BatchedNode {
  readonly node: IrNode
  readonly extent: number
  readonly level: number
  /** Per input: read by rows, or whole. */
  readonly inputAxes: readonly BatchAxis[]
  readonly outputAxes: readonly SlicedOutput[]
}

export interface BatchAxes {
  readonly labels: ReadonlyMap<IrValue, BatchLabel>
  readonly batched: ReadonlyMap<IrNode, BatchedNode>
}

/** Ops that make a region worth its while, with the input that holds the samples. */
const anchors: Partial<Record<Opcode, number>> = {
  conv2d: 0,
  conv2d_input_grad: 0,
  conv2d_weight_grad: 0,
  norm_act_pool: 0,
  norm_act_pool_grad: 0,
  norm_act_pool_grad_grad: 0,
  avg_pool2d: 0,
  avg_pool2d_grad: 0,
  max_pool2d: 0,
  max_pool2d_grad: 0,
  max_pool2d_gather: 0,
  augment: 0,
  augment_linear: 0,
  augment_transpose: 0,
  image_gather: 1,
}

export const isAnchor = (node: IrNode): boolean => anchors[node.op] !== undefined

/** First axis with more than one element: cutting it leaves contiguous slices. */
export const leadingAxis = (v: IrValue): number => v.shape.findIndex((d) => d !== 1)

const leadingExtent = (v: IrValue): number => v.shape[leadingAxis(v)] ?? 1

/** Producers of less per row stay outside: computing them once is cheap, and sums over them cut no region in two. */
const leastPulledRowBytes = 1024
const mostFreeInputs = 6
/** A product that only feeds a region and reads more than this whole, slice by slice, is made once before it. */
const mostWholeBytes = 1 << 20
/** Rows that a slice is taken to have where the real number is not known yet. */
const typicalRows = 8
const smallSumBytes = 1 << 16
const sumBytesPerInputByte = 4

interface Resolution {
  readonly inputAxes: readonly BatchAxis[]
  readonly outputAxes: readonly SlicedOutput[]
}

/**
 * Batch axes of one node for a batch of `extent`. Inputs whose axis is known keep it; each other input is read whole if the rule allows,
 * else by rows when it can be cut into contiguous slices.
 */
function resolve(node: IrNode, extent: number, known: (v: IrValue, i: number) => number | undefined): Resolution | undefined {
  const rule = registry[node.op].slice
  if (!rule) return undefined
  const fixed = node.inputs.map((v, i) => known(v, i))
  const free = node.inputs.map((_, i) => i).filter((i) => fixed[i] === undefined && leadingExtent(node.inputs[i]) === extent)
  if (free.length > mostFreeInputs) return undefined
  for (let choice = 0; choice < 1 << free.length; choice++) {
    const inputAxes: BatchAxis[] = fixed.map((axis) => axis ?? null)
    for (const [bit, i] of free.entries()) if (choice & (1 << bit)) inputAxes[i] = leadingAxis(node.inputs[i])
    if (inputAxes.every((axis) => axis === null)) continue
    // The rule reads op, attributes and shapes only, which both node forms share.
    const outputAxes = rule(inputAxes, node as unknown as Node)
    if (outputAxes && isUsable(node, extent, inputAxes, outputAxes)) return { inputAxes, outputAxes }
  }
  return undefined
}

function isUsable(node: IrNode, extent: number, inputAxes: readonly BatchAxis[], outputAxes: readonly SlicedOutput[]): boolean {
  const rowBytes = node.inputs.reduce((n, v, i) => n + (inputAxes[i] === null ? 0 : bytesOf(v) / extent), 0)
  const mostSumBytes = Math.max(smallSumBytes, sumBytesPerInputByte * typicalRows * rowBytes)
  return node.outputs.every((v, i) => {
    const axis = outputAxes[i]
    if (axis === null) return false
    // Partial sums live once per lane, with the lane in front.
    if (axis === 'sum') return v.dtype === 'f32' && v.shape.length < maxRank && bytesOf(v) <= mostSumBytes
    return axis === leadingAxis(v) && v.shape[axis] === extent
  })
}

/** Extents at which nodes start to be batched: anchors, and what only feeds them. Walks backwards. */
function findSeeds(graph: IrGraph): Map<IrNode, number> {
  const seeds = new Map<IrNode, number>()
  const wanted = new Map<IrValue, number>()
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i]
    const data = anchors[node.op]
    const extent = data === undefined ? wantedExtent(node, wanted) : leadingExtent(node.inputs[data])
    if (extent === undefined || extent < 2) continue
    const found = resolve(node, extent, (v, index) => (index === data ? leadingAxis(v) : undefined))
    if (!found || (node.op === 'matmul' && wholeBytes(node, found) > mostWholeBytes)) continue
    seeds.set(node, extent)
    for (const [index, v] of node.inputs.entries()) if (found.inputAxes[index] !== null && !wanted.has(v)) wanted.set(v, extent)
  }
  return seeds
}

const wholeBytes = ({ inputs }: IrNode, { inputAxes }: Resolution): number =>
  inputs.reduce((n, v, i) => n + (inputAxes[i] === null ? bytesOf(v) : 0), 0)

function wantedExtent(node: IrNode, wanted: ReadonlyMap<IrValue, number>): number | undefined {
  for (const v of node.outputs) {
    const extent = wanted.get(v)
    if (extent !== undefined && bytesOf(v) / extent >= leastPulledRowBytes) return extent
  }
  return undefined
}

/** Labels all values in one forward walk. */
export function findBatchAxes(graph: IrGraph): BatchAxes {
  const seeds = findSeeds(graph)
  const labels = new Map<IrValue, BatchLabel>()
  const batched = new Map<IrNode, BatchedNode>()
  // Per value outside regions: the first level whose regions may read it.
  const available = new Map<IrValue, number>()
  const levelOf = (v: IrValue): number => labels.get(v)?.level ?? available.get(v) ?? 0
  for (const node of graph.nodes) {
    const extents = new Set(node.inputs.flatMap((v) => labels.get(v)?.extent ?? []))
    const extent = extents.size === 0 ? seeds.get(node) : extents.size === 1 ? [...extents][0] : undefined
    const data = extents.size === 0 ? anchors[node.op] : undefined
    const found = extent && resolve(node, extent, (v, i) => labels.get(v)?.axis ?? (i === data ? leadingAxis(v) : undefined))
    if (extent && found) {
      const level = Math.max(0, ...node.inputs.map(levelOf))
      batched.set(node, { node, extent, level, ...found })
      for (const [i, v] of node.outputs.entries()) {
        const axis = found.outputAxes[i]
        if (axis === 'sum') available.set(v, level + 1)
        else labels.set(v, { extent, axis: axis as number, level })
      }
    } else {
      const ready = Math.max(0, ...node.inputs.map((v) => levelOf(v) + (labels.has(v) ? 1 : 0)))
      for (const v of node.outputs) available.set(v, ready)
    }
  }
  return { labels, batched }
}
