/** @file Gives every value its bytes: aliases share, dying inputs are overwritten in place, the rest is planned into one arena. */

import { sameShape } from '../tensor/shape.js'
import { isElementwise } from './elementwise-ops.js'
import type { IrNode, IrValue } from './ir.js'
import { bytesOf } from './ir.js'
import { planMemory } from './plan-memory.js'

export type Storage = 'arena' | 'constant' | 'argument' | 'local'

/** Where a value lies, in the terms of the program contract. */
export interface Place {
  readonly storage: Storage
  readonly argument: number
  readonly offset: number
  readonly sliceStride: number
  readonly laneStride: number
  readonly slots: number
  readonly slotMul: number
  readonly slotAdd: number
  readonly stepScalar?: boolean
}

export const placeAt = (storage: Storage, offset: number, rest: Partial<Place> = {}): Place => ({
  argument: 0,
  sliceStride: 0,
  laneStride: 0,
  slots: 0,
  slotMul: 0,
  slotAdd: 0,
  ...rest,
  storage,
  offset,
})

/** The value whose bytes `v` names: reshapes are free. */
export function rootOf(v: IrValue): IrValue {
  while (v.node.op === 'reshape') v = v.node.inputs[0]
  return v
}

export interface Placement {
  readonly places: ReadonlyMap<IrValue, Place>
  readonly bytes: number
}

/** Places the roots of all values that scheduled `nodes` make. Roots in `fixed` keep their place. */
export function place(nodes: readonly IrNode[], fixed: ReadonlyMap<IrValue, Place>, storage: 'arena' | 'local'): Placement {
  const lastUse = lastUses(nodes)
  const buffers: { bytes: number; first: number; last: number }[] = []
  const bufferOf = new Map<IrValue, number>()
  for (const [time, node] of nodes.entries()) {
    if (node.op === 'reshape') continue
    const reused = new Set<number>()
    for (const output of node.outputs) {
      if (fixed.has(output)) continue
      const last = lastUse.get(output) ?? time
      const buffer = dyingInput(node, output, time, lastUse, bufferOf, reused)
      if (buffer === undefined) {
        bufferOf.set(output, buffers.length)
        buffers.push({ bytes: bytesOf(output), first: time, last })
      } else {
        reused.add(buffer)
        bufferOf.set(output, buffer)
        buffers[buffer].last = last
      }
    }
  }
  const plan = planMemory(buffers)
  const places = new Map(fixed)
  for (const [value, buffer] of bufferOf) places.set(value, placeAt(storage, plan.offsets[buffer]))
  return { places, bytes: plan.peakBytes }
}

function lastUses(nodes: readonly IrNode[]): Map<IrValue, number> {
  const lastUse = new Map<IrValue, number>()
  for (const [time, node] of nodes.entries()) for (const input of node.inputs) lastUse.set(rootOf(input), time)
  return lastUse
}

/** A buffer that an elementwise output may overwrite: an input of its shape and dtype that dies at this node. */
function dyingInput(
  node: IrNode,
  output: IrValue,
  time: number,
  lastUse: ReadonlyMap<IrValue, number>,
  bufferOf: ReadonlyMap<IrValue, number>,
  reused: ReadonlySet<number>,
): number | undefined {
  if (!isElementwise(node.op)) return undefined
  for (const input of node.inputs) {
    const root = rootOf(input)
    const buffer = bufferOf.get(root)
    if (buffer === undefined || reused.has(buffer) || lastUse.get(root) !== time) continue
    if (input.dtype !== output.dtype || !sameShape(input.shape, output.shape)) continue
    // The same bytes read under a second, broadcasting shape would be overwritten too early.
    if (node.inputs.some((other) => other !== input && rootOf(other) === root && !sameShape(other.shape, output.shape))) continue
    return buffer
  }
  return undefined
}
