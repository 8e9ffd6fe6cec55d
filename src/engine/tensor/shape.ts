/** @file Shapes: dense, row-major, at most eight dimensions. */
import { expected } from '../../errors.js'

export type Shape = readonly number[]
export const maxRank = 8

export const sizeOf = (shape: Shape): number => shape.reduce((n, d) => n * d, 1)
export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => d === b[i])
export const formatShape = (shape: Shape): string => `[${shape.join(', ')}]`

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length)
  let stride = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride
    stride *= shape[i]
  }
  return strides
}

/** NumPy broadcasting of two shapes; `what` names the op in the error. */
export function broadcastShapes(what: string, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1
    const y = b[i - rank + b.length] ?? 1
    if (x !== y && x !== 1 && y !== 1) {
      throw expected('invalid_shape', what, `shapes that broadcast with ${formatShape(a)}`, formatShape(b))
    }
    return x === 1 ? y : x
  })
}

/** Negative axes count from the end; out of range is an error. */
export function normalizeAxis(what: string, axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis
  if (!Number.isInteger(normal) || normal < 0 || normal >= rank) {
    throw expected('invalid_shape', what, `an axis in [${-rank}, ${rank})`, axis)
  }
  return normal
}

/** A shape is a list of at most eight whole numbers >= 1. */
export function checkShape(what: string, shape: Shape): void {
  // a hole in the list is no dimension: some() would pass over it
  if (!Array.isArray(shape) || shape.length > maxRank || [...shape].some((d) => !Number.isSafeInteger(d) || d < 1)) {
    throw expected('invalid_shape', what, `a list of at most ${maxRank} dimensions, each a whole number >= 1`, shape)
  }
}
