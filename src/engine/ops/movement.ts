/** @file Ops that move elements without computing: every one is the transpose of another of this family (or of sum). */

import { checkOptions } from '../../arguments.js'
import { expected } from '../../errors.js'
import type { Value } from '../graph/node.js'
import { normalizeAxis, type Shape, sameShape, sizeOf } from '../tensor/shape.js'
import { checkValues, emitOne } from './build.js'
import { checkWholeList } from './check.js'

/** The same elements in row-major order under another shape; one dimension may be -1. */
export function reshape(x: Value, shape: Shape): Value {
  checkValues('reshape', [x])
  checkWholeList('reshape', 'shape', shape)
  const known = shape.reduce((n, d) => (d === -1 ? n : n * d), 1)
  const target = shape.map((d) => (d === -1 ? sizeOf(x.shape) / known : d))
  return sameShape(x.shape, target) ? x : emitOne('reshape', [x], { shape: target })
}

/** Axis i of the result is axis `permutation[i]` of x. */
export function transpose(x: Value, permutation: readonly number[]): Value {
  checkValues('transpose', [x])
  checkWholeList('transpose', 'permutation', permutation)
  const normal = permutation.map((axis) => normalizeAxis('transpose', axis, x.shape.length))
  return normal.every((axis, i) => axis === i) ? x : emitOne('transpose', [x], { permutation: normal })
}

/** NumPy broadcasting to `shape`: size-1 axes expand, leading axes are added. */
export function broadcast(x: Value, shape: Shape): Value {
  checkValues('broadcast', [x])
  checkWholeList('broadcast', 'shape', shape)
  return sameShape(x.shape, shape) ? x : emitOne('broadcast', [x], { shape })
}

/** x[starts : stops : steps] for every axis; stops default to the end, steps to 1. */
export function slice(x: Value, starts: Shape, stops: Shape = x?.shape, steps: Shape = x?.shape?.map(() => 1)): Value {
  checkValues('slice', [x])
  for (const [name, list] of Object.entries({ starts, stops, steps })) checkWholeList('slice', name, list, x.shape.length)
  const shape = starts.map((start, i) => Math.ceil((stops[i] - start) / steps[i]))
  return emitOne('slice', [x], { starts, steps, shape })
}

/** Zeros around (`before`, `after`) and `interior` zeros between neighbours, per axis. */
export function pad(x: Value, padding: { before?: Shape; after?: Shape; interior?: Shape }): Value {
  checkValues('pad', [x])
  checkOptions('pad', padding, { before: true, after: true, interior: true })
  const none = x.shape.map(() => 0)
  const { before = none, after = none, interior = none } = padding
  for (const [name, list] of Object.entries({ before, after, interior })) checkWholeList('pad', name, list, x.shape.length)
  const shape = x.shape.map((d, i) => before[i] + d + (d - 1) * interior[i] + after[i])
  return emitOne('pad', [x], { before, interior, shape })
}

/** Throws `invalid_data` naming the op unless `parts` is a list of values of a trace. */
function checkParts(op: string, parts: readonly Value[]): void {
  if (!Array.isArray(parts)) throw expected('invalid_data', op, 'a list of traced values', parts)
  checkValues(op, parts)
}

/** Joins tensors along `axis`; all other dimensions agree. */
export function concat(parts: readonly Value[], axis = 0): Value {
  checkParts('concat', parts)
  if (parts.length === 0) throw expected('invalid_data', 'concat', 'at least one input', 'none')
  return parts.length === 1 ? parts[0] : emitOne('concat', parts, { axis: normalizeAxis('concat', axis, parts[0].shape.length) })
}

/** Tensors of one shape joined along a new axis. */
export function stack(parts: readonly Value[], axis = 0): Value {
  checkParts('stack', parts)
  const at = (x: Value): number[] => [...x.shape.slice(0, axis), 1, ...x.shape.slice(axis)]
  return concat(
    parts.map((x) => reshape(x, at(x))),
    axis,
  )
}

/** Order of elements reversed along `axes`. */
export function reverse(x: Value, axes: readonly number[]): Value {
  checkValues('reverse', [x])
  checkWholeList('reverse', 'axes', axes)
  const normal = [...new Set(axes.map((axis) => normalizeAxis('reverse', axis, x.shape.length)))].sort((a, b) => a - b)
  return normal.length === 0 ? x : emitOne('reverse', [x], { axes: normal })
}

/** A copy in fresh memory. */
export const copy = (x: Value): Value => emitOne('copy', [x])
/** x as a constant of differentiation: no gradient flows through it. */
export const stopGradient = (x: Value): Value => emitOne('copy', [x], { stopGradient: true })
