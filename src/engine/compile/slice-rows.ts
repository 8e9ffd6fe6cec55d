/** @file How many rows of the batch one slice holds: a pure function of shapes and options. */

import { type CpuIsa, isGpu } from '../isa.js'
import { algorithmIndex } from './algorithms.js'
import type { BatchedNode } from './batch-axes.js'
import { bytesOf } from './ir.js'
import type { CompileOptions } from './program.js'

/** The largest step of a slice should stay in a core's second-level cache and its share of the third. */
const workingSetBytes: Readonly<Record<CpuIsa, number>> = { avx512: 2 << 20, wide16: 2 << 20, avx2: 3 << 19, portable: 1 << 20 }
/** A GPU has no such cache and wants as many rows at once as fill it; more would take memory alone. */
const gpuStepBytes = 512 * 2 ** 20
const leastTiles = 16
const mostTileRows = 16
const mostRows = 256
/** Slices that a batch should give at least, so that every worker has some. */
const leastSlices = 8
/** Row counts of the main part are multiples of this where a tail follows: offsets of the tail then are multiples of 64 bytes. */
const alignedRows = 16

/** Bytes per row of the batched inputs and outputs of a node. */
export function rowBytesOf({ node, extent, inputAxes, outputAxes }: BatchedNode): number {
  const ins = node.inputs.reduce((n, v, i) => n + (inputAxes[i] === null ? 0 : bytesOf(v) / extent), 0)
  return node.outputs.reduce((n, v, i) => n + (typeof outputAxes[i] === 'number' ? bytesOf(v) / extent : 0), ins)
}

/** Rows that give Winograd enough tiles on the smallest 3x3 map. */
function rowsForTiles(nodes: readonly BatchedNode[]): number {
  let rows = 1
  for (const { node } of nodes) {
    if (node.numbers.length <= algorithmIndex || !node.op.startsWith('conv2d')) continue
    const weights = node.op === 'conv2d_weight_grad' ? node.outputs[0].shape : node.inputs[1].shape
    if (weights[1] !== 3 || weights[2] !== 3) continue
    const [, , height, width] = node.inputs[0].shape
    rows = Math.max(rows, Math.ceil(leastTiles / (Math.ceil(height / 4) * Math.ceil(width / 4))))
  }
  return Math.min(rows, mostTileRows)
}

export interface SliceParts {
  readonly rows: number
  readonly slices: number
  /** Rows left over for a second loop of one slice. */
  readonly tail: number
}

/** The cut of a region, or undefined when its batch gives fewer than two slices. */
export function cutBatch(nodes: readonly BatchedNode[], extent: number, options: CompileOptions): SliceParts | undefined {
  const { slicing = 'auto', isa = 'avx2' } = options
  if (slicing === 'off') return undefined
  if (typeof slicing === 'object') return split(extent, slicing.rows)
  const largest = Math.max(1, ...nodes.map(rowBytesOf))
  if (isGpu(isa)) {
    const rows = Math.max(1, Math.floor(gpuStepBytes / largest))
    return rows >= extent ? undefined : split(extent, nearestDivisor(extent, rows) ?? 2 ** Math.floor(Math.log2(rows)))
  }
  const least = rowsForTiles(nodes)
  const fitting = Math.max(least, Math.floor(workingSetBytes[isa] / largest))
  const rows = Math.min(fitting, mostRows, Math.max(least, Math.ceil(extent / leastSlices)))
  return split(extent, nearestDivisor(extent, rows) ?? 2 ** Math.floor(Math.log2(rows)))
}

/** The divisor of `extent` nearest to `rows` within a factor of about one and a half. */
function nearestDivisor(extent: number, rows: number): number | undefined {
  for (let distance = 0; distance <= rows / 2; distance++) {
    for (const candidate of [rows + distance, rows - distance]) {
      if (candidate * 3 >= rows * 2 && extent % candidate === 0) return candidate
    }
  }
  return undefined
}

function split(extent: number, rows: number): SliceParts | undefined {
  if (!(rows >= 1)) return undefined
  if (extent % rows === 0) return extent > rows ? { rows, slices: extent / rows, tail: 0 } : undefined
  const granule = (rows * alignedRows) / greatestCommonDivisor(rows, alignedRows)
  const main = Math.floor(extent / granule) * granule
  return main > 0 ? { rows, slices: main / rows, tail: extent - main } : undefined
}

const greatestCommonDivisor = (a: number, b: number): number => (b === 0 ? a : greatestCommonDivisor(b, a % b))
