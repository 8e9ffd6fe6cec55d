/** @file From a scheduled graph to values with addresses and a flat list of instructions, loop regions included. */
import { AludelError } from '../../errors.js'
import type { TypedArray } from '../tensor/dtype.js'
import { type Arguments, bindOutputs } from './bind-arguments.js'
import type { EncodedValue, Instruction, PlacedProgram } from './encode.js'
import { bytesOf, IrBuilder, type IrGraph, type IrNode, type IrValue, type LoopPart } from './ir.js'
import { type Place, place, placeAt, rootOf } from './placement.js'
import { align } from './plan-memory.js'
import { schedule } from './schedule.js'

/** An instruction beside the node it came from. */
export interface LoweredInstruction extends Instruction {
  readonly node: IrNode
  /** Slices of the loop around it, else 1. */
  readonly repeats: number
  /** Rows per slice, on loop instructions. */
  readonly rows: number
}

export interface Lowered extends PlacedProgram {
  readonly instructions: readonly LoweredInstruction[]
}

class Constants {
  readonly list: { offset: number; data: TypedArray }[] = []
  bytes = 0

  place(data: TypedArray): Place {
    const offset = align(this.bytes)
    this.bytes = offset + data.byteLength
    this.list.push({ offset, data })
    return placeAt('constant', offset)
  }
}

class Lowering {
  readonly values: EncodedValue[] = []
  readonly instructions: LoweredInstruction[] = []
  readonly constants = new Constants()
  localBytes = 0

  /** Index of `v` in the value table; its place is that of its root under v's own shape. */
  index(v: IrValue, places: ReadonlyMap<IrValue, Place>, known: Map<IrValue, number>): number {
    const seen = known.get(v)
    if (seen !== undefined) return seen
    const at = places.get(rootOf(v))
    if (!at) throw new AludelError('internal', `compile: ${v.node.op} has no place`)
    const index = this.values.push({ dtype: v.dtype, shape: v.shape, place: at }) - 1
    known.set(v, index)
    return index
  }

  emit(node: IrNode, places: ReadonlyMap<IrValue, Place>, known: Map<IrValue, number>, repeats: number): void {
    const inputs = node.inputs.map((v) => this.index(v, places, known))
    const outputs = node.outputs.map((v) => this.index(v, places, known))
    this.instructions.push({ op: node.op, inputs, outputs, numbers: node.numbers, node, repeats, rows: 0 })
  }

  emitPart(node: IrNode, part: LoopPart, outer: ReadonlyMap<IrValue, Place>): void {
    const { places, order, bytes } = placeBody(node, part, outer, this.constants)
    this.localBytes = Math.max(this.localBytes, bytes)
    const body = order.filter((n) => n.op !== 'reshape')
    this.instructions.push({
      op: 'loop',
      inputs: [],
      outputs: [],
      numbers: [body.length, part.slices, part.lanes, ...(part.run ?? [])],
      node,
      repeats: 1,
      rows: part.rows,
    })
    const known = new Map<IrValue, number>()
    const [first, end] = part.run ?? [0, part.slices]
    for (const inner of body) this.emit(inner, places, known, end - first)
  }
}

/** Places of a body: views of outer values, outputs in outer buffers, everything else local to the worker. */
function placeBody(node: IrNode, part: LoopPart, outer: ReadonlyMap<IrValue, Place>, constants: Constants) {
  const { body, results } = part
  const fixed = new Map<IrValue, Place>()
  for (const [i, v] of body.inputs.entries()) {
    const at = outer.get(rootOf(node.inputs[i]))!
    fixed.set(v, node.loop!.sliced[i] ? sliceOf(at, v, part) : at)
  }
  for (const inner of body.nodes) if (inner.data) fixed.set(inner.outputs[0], constants.place(inner.data))
  const copies: IrNode[] = []
  for (const [i, v] of body.outputs.entries()) {
    const { output, kind } = results[i]
    const at = outer.get(node.outputs[output])!
    const root = ownRoot(v, fixed, copies)
    fixed.set(root, kind === 'slice' ? sliceOf(at, v, part) : { ...at, laneStride: bytesOf(v) })
  }
  const order = [...schedule(body), ...copies]
  return { ...place(order, fixed, 'local'), order }
}

/** The root to put at an output's place. What has a place already (a view of an input, a second name of one value) is copied there. */
function ownRoot(v: IrValue, fixed: ReadonlyMap<IrValue, Place>, copies: IrNode[]): IrValue {
  const root = rootOf(v)
  if (!fixed.has(root)) return root
  const [copied] = new IrBuilder().add('copy', [v], [], [v])
  copies.push(copied.node)
  return copied
}

function sliceOf(at: Place, slice: IrValue, part: LoopPart): Place {
  const bytes = bytesOf(slice)
  return { ...at, offset: at.offset + (part.start * bytes) / part.rows, sliceStride: bytes }
}

export function lower(graph: IrGraph, args: Arguments): Lowered {
  const lowering = new Lowering()
  const order = schedule(graph)
  const { fixed: outputPlaces, copies } = bindOutputs(graph, args, order)
  const fixed = new Map(outputPlaces)
  for (const [i, v] of graph.inputs.entries()) fixed.set(v, args.inputPlaces[i])
  for (const node of graph.nodes) if (node.data) fixed.set(node.outputs[0], lowering.constants.place(node.data))
  const all = [...order, ...copies]
  const { places, bytes } = place(all, fixed, 'arena')
  const known = new Map<IrValue, number>()
  for (const node of all) {
    if (node.op === 'reshape') continue
    if (node.loop) for (const part of node.loop.parts) lowering.emitPart(node, part, places)
    else lowering.emit(node, places, known, 1)
  }
  return {
    values: lowering.values,
    instructions: lowering.instructions,
    argumentCount: args.list.length,
    constants: lowering.constants.list,
    constantBytes: lowering.constants.bytes,
    arenaBytes: bytes,
    localBytes: lowering.localBytes,
  }
}
