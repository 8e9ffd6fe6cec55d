/** @file What a program costs before it runs: operations, bytes moved, memory; and the same as text. */
import type { TensorType } from '../graph/node.js'
import { opcodes } from '../ops/opcodes.js'
import { registry } from '../ops/registry.js'
import { formatShape } from '../tensor/shape.js'
import { bytesOf, type IrNode } from './ir.js'
import type { Program } from './program.js'

/** Floating-point operations of one execution of a node. */
export function flopsOf(node: IrNode): number {
  if (node.op === 'loop') return 0
  if (node.op === 'map') return flopsOfMap(node)
  return registry[node.op].flops(node.inputs, node.outputs, node.attrs)
}

function flopsOfMap(node: IrNode): number {
  const [y] = node.outputs
  let flops = 0
  for (let i = 0; i < node.numbers[0]; i++) {
    const { flops: cost } = registry[opcodes[node.numbers[1 + 5 * i]]]
    flops += cost([y, y, y], [y], {})
  }
  return flops
}

/** Bytes that one execution of a node reads and writes. Of a gathered source only the rows taken count. */
export function bytesMovedBy(node: IrNode): number {
  if (node.op === 'loop') return 0
  const written = node.outputs.reduce((n, v) => n + bytesOf(v), 0)
  if (node.op === 'gather') return 2 * written + bytesOf(node.inputs[1])
  const [source, ...others] = node.op === 'image_gather' ? [gatheredRows(node), ...node.inputs.slice(1)] : node.inputs
  return [source, ...others].reduce((n, v) => n + (v ? bytesOf(v) : 0), written)
}

/** The rows that an image_gather reads. */
const gatheredRows = ({ inputs: [images], outputs: [y] }: IrNode): TensorType => ({ shape: y.shape, dtype: images.dtype })

/** Bytes a run needs besides the bound arrays: arena, constants, and one scratch area per worker. */
export const peakBytes = ({ plan }: Program, workers: number): number =>
  plan.arenaBytes + plan.constantBytes + workers * plan.localBytesPerWorker

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

function formatBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10))
  return `${Number((bytes / 1024 ** power).toPrecision(3))} ${units[power]}`
}

/** The plan of a program for people: memory, operations, loops and algorithms. */
export function describe(program: Program): string {
  const { plan } = program
  const lines = [
    `${plan.instructions} instructions for ${plan.isa}, ${(plan.flops / 1e9).toPrecision(3)} GFLOP and ${formatBytes(plan.bytesMoved)} moved per run`,
    `memory: arena ${formatBytes(plan.arenaBytes)}, local ${formatBytes(plan.localBytesPerWorker)} per worker, constants ${formatBytes(plan.constantBytes)}, arguments ${formatBytes(plan.argumentBytes)}`,
  ]
  for (const { name, dtype, shape, slots, role } of program.arguments) {
    lines.push(`argument ${name}: ${role} ${dtype} ${formatShape(shape)}${slots > 0 ? `, ${slots} slots` : ''}`)
  }
  for (const { name, count, size, lanes } of plan.slices) lines.push(`loop ${name}: ${count} slices of ${size} rows on ${lanes} lanes`)
  for (const { instruction, op, shape, algorithm } of plan.algorithms)
    lines.push(`instruction ${instruction}: ${op} ${formatShape(shape)} ${algorithm}`)
  return lines.join('\n')
}
