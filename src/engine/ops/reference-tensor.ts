/** @file Helpers of the float64 references: fresh tensors, broadcasting by index, strided views. */
import { type Shape, sameShape, sizeOf, stridesOf } from '../tensor/shape.js'
import type { RefTensor } from './define.js'

export const zeros = (shape: Shape): RefTensor => ({ shape, data: new Float64Array(sizeOf(shape)) })

/** Calls `visit(linear index, source offset)` over `shape` in row-major order, with `strides` (0 repeats) and a start offset. */
export function walkStrided(shape: Shape, strides: readonly number[], start: number, visit: (i: number, offset: number) => void): void {
  const rank = shape.length
  const index = new Array<number>(rank).fill(0)
  const total = sizeOf(shape)
  let offset = start
  for (let i = 0; i < total; i++) {
    visit(i, offset)
    for (let axis = rank - 1; axis >= 0; axis--) {
      offset += strides[axis]
      if (++index[axis] < shape[axis]) break
      offset -= strides[axis] * shape[axis]
      index[axis] = 0
    }
  }
}

/** The elements of `x` broadcast to `shape` (NumPy rules); the data itself when nothing changes. */
export function broadcastData(x: RefTensor, shape: Shape): Float64Array {
  if (sameShape(x.shape, shape)) return x.data
  const out = new Float64Array(sizeOf(shape))
  if (x.data.length === 1) return out.fill(x.data[0])
  const own = stridesOf(x.shape)
  const missing = shape.length - x.shape.length
  const strides = shape.map((_, axis) => (axis < missing || x.shape[axis - missing] === 1 ? 0 : own[axis - missing]))
  walkStrided(shape, strides, 0, (i, offset) => {
    out[i] = x.data[offset]
  })
  return out
}
