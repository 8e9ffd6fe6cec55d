/** @file How a traced value stands in an ONNX graph: the batch axis first, no group axis, feature maps NCHW. */
import { type Shape, sizeOf } from '../../engine/tensor/shape.js'
import { permuteAxes } from '../../nn/layout.js'
import type { MapShape } from '../../nn/module.js'

/** A value that depends on the images, under its name in the ONNX graph. */
export type Form =
  /** [1, N, H, W, C] as [N, C, H, W]. */
  | { readonly kind: 'map'; readonly name: string }
  /**
   * Leading axes of one are left out, and the first axis that remains is a multiple of the batch: [1, N, F] as [N, F], [1, N*T, F] as
   * [N*T, F]. With `order`, the features of [N, F] are those of a flattened map [H, W, C], which stand in ONNX as C, H, W.
   */
  | { readonly kind: 'rows'; readonly name: string; readonly order?: MapShape }

/** A value that depends on parameters alone, in the engine's order. */
export interface ConstantTensor {
  readonly shape: Shape
  readonly data: Float32Array
}

/** The shape of rows in ONNX: the axes from the batch on, which is the first that is larger than one. */
export function rowShape(shape: Shape): Shape {
  const batch = shape.findIndex((d) => d !== 1)
  return shape.slice(batch < 0 ? shape.length - 1 : batch)
}

/** Flattening a map changes no order when it has one pixel or one channel. */
export const orderOf = ([height, width, channels]: MapShape): MapShape | undefined =>
  height * width === 1 || channels === 1 ? undefined : [height, width, channels]

export const sameOrder = (a: MapShape | undefined, b: MapShape | undefined): boolean => a?.join() === b?.join()

/** A tensor of the model: whole, or in pieces that are made when they are written, since reordering millions of weights takes its time. */
export interface PiecewiseTensor {
  readonly shape: Shape
  readonly data: Float32Array | (() => Iterable<Float32Array>)
}

/** Output channels of one piece: their weights stand beside each other in the engine's order. */
const channelsTogether = 16

/** Weights [KH, KW, C, K] in the engine's order as [K, C, KH, KW]. */
export const convWeight = (data: Float32Array, [kh, kw, c, k]: readonly [number, number, number, number]): PiecewiseTensor => ({
  shape: [k, c, kh, kw],
  data: () => columnsFirst(data, k, [kh, kw, c]),
})

/** Weights [1, rows, columns], transposed or not, as [columns, rows] with the rows in the order of the features that they meet. */
export function linearWeight({ shape, data }: ConstantTensor, transposed: boolean, order: MapShape | undefined): PiecewiseTensor {
  const [a, b] = shape.slice(-2)
  const [rows, columns] = transposed ? [b, a] : [a, b]
  const straight = transposed ? permuteAxes(data, [columns, rows], [1, 0]) : data
  return { shape: [columns, rows], data: () => columnsFirst(straight, columns, order ?? [rows, 1, 1]) }
}

/** A matrix [H*W*C, columns] as [columns, C*H*W], some columns at a time. */
function* columnsFirst(data: Float32Array, columns: number, [height, width, channels]: MapShape): Generator<Float32Array> {
  const rows = height * width * channels
  const source = permuteAxes(
    Int32Array.from({ length: rows }, (_, i) => i * columns),
    [height, width, channels],
    [2, 0, 1],
  )
  for (let first = 0; first < columns; first += channelsTogether) {
    const count = Math.min(channelsTogether, columns - first)
    const piece = new Float32Array(count * rows)
    for (let row = 0; row < rows; row++) {
      const from = source[row] + first
      for (let k = 0; k < count; k++) piece[k * rows + row] = data[from + k]
    }
    yield piece
  }
}

/**
 * A constant that is broadcast against `form`, whose value has the shape `whole` in the trace: dimensions in ONNX's order, right-aligned,
 * or undefined when it differs between the images of a batch.
 */
export function besideForm({ shape, data }: ConstantTensor, form: Form, whole: Shape): ConstantTensor | undefined {
  if (sizeOf(shape) === 1) return { shape: [], data }
  const full = [...Array<number>(whole.length - shape.length).fill(1), ...shape]
  const behind = whole.length - rowShape(whole).length + 1
  if (full.slice(0, behind).some((d) => d !== 1)) return undefined
  if (form.kind === 'map') {
    const [height, width, channels] = full.slice(2)
    return { shape: [channels, height, width], data: permuteAxes(data, [height, width, channels], [2, 0, 1]) }
  }
  return { shape: full.slice(behind), data: form.order ? permuteAxes(data, form.order, [2, 0, 1]) : data }
}
