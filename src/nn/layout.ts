/**
 * @file The border between PyTorch's order (NCHW, OIHW, linear rows per class over C,H,W) and the engine's (NHWC, HWIO, [H*W*C, K]).
 * Files, exports and golden vectors are in PyTorch's order; everything inside is in the engine's. Each function returns a new array.
 */

import type { TypedArray } from '../engine/tensor/dtype.js'
import { type Shape, sizeOf, stridesOf } from '../engine/tensor/shape.js'
import { expected } from '../errors.js'
import type { ParameterSpec } from './module.js'

type Sizes4 = readonly [number, number, number, number]

/** Row-major transpose of `data` with `shape`: axis i of the result is axis `permutation[i]` of the source. */
export function permuteAxes<T extends TypedArray>(data: T, shape: Shape, permutation: readonly number[]): T {
  if (data.length !== sizeOf(shape)) throw expected('invalid_shape', 'permuteAxes', `${sizeOf(shape)} elements`, data.length)
  const sourceStrides = stridesOf(shape)
  const sizes = permutation.map((axis) => shape[axis])
  const strides = permutation.map((axis) => sourceStrides[axis])
  const out = data.slice() as T
  const index = new Array<number>(sizes.length).fill(0)
  let source = 0
  for (let i = 0; i < out.length; i++) {
    out[i] = data[source]
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      source += strides[axis]
      if (++index[axis] < sizes[axis]) break
      source -= strides[axis] * sizes[axis]
      index[axis] = 0
    }
  }
  return out
}

/** Images or feature maps [N, C, H, W] -> [N, H, W, C]. */
export const nchwToNhwc = <T extends TypedArray>(data: T, [n, c, h, w]: Sizes4): T => permuteAxes(data, [n, c, h, w], [0, 2, 3, 1])

/** [N, H, W, C] -> [N, C, H, W]; `shape` is the source's. */
export const nhwcToNchw = <T extends TypedArray>(data: T, [n, h, w, c]: Sizes4): T => permuteAxes(data, [n, h, w, c], [0, 3, 1, 2])

/** Convolution weights [K, C, KH, KW] -> [KH, KW, C, K]. */
export const oihwToHwio = <T extends TypedArray>(data: T, [o, i, h, w]: Sizes4): T => permuteAxes(data, [o, i, h, w], [2, 3, 1, 0])

/** [KH, KW, C, K] -> [K, C, KH, KW]; `shape` is the source's. */
export const hwioToOihw = <T extends TypedArray>(data: T, [h, w, i, o]: Sizes4): T => permuteAxes(data, [h, w, i, o], [3, 2, 0, 1])

/** The feature map in front of the linear layer. */
export interface FeatureMap {
  readonly height: number
  readonly width: number
  readonly channels: number
}

/** Linear weights [K, C*H*W] -> [H*W*C, K]. */
export function linearToEngine<T extends TypedArray>(data: T, classes: number, { height, width, channels }: FeatureMap): T {
  return permuteAxes(data, [classes, channels, height, width], [2, 3, 1, 0])
}

/** Linear weights [H*W*C, K] -> [K, C*H*W]. */
export function linearToTorch<T extends TypedArray>(data: T, classes: number, { height, width, channels }: FeatureMap): T {
  return permuteAxes(data, [height, width, channels, classes], [3, 2, 0, 1])
}

/** One parameter from PyTorch's order ([K, C, KH, KW], [out, in], [C, H, W], [T, C], [C]) into the engine's. */
export function parameterToEngine<T extends TypedArray>({ layout, shape, rows }: ParameterSpec, data: T): T {
  const [a, b, c, d] = shape
  if (layout === 'conv') return oihwToHwio(data, [d, c, a, b])
  if (layout === 'linear') return linearToEngine(data, b, featureMap(rows ?? [1, 1, a]))
  return layout === 'map' ? permuteAxes(data, [c, a, b], [1, 2, 0]) : (data.slice() as T)
}

/** One parameter from the engine's order into PyTorch's; `spec.shape` is the engine's. */
export function parameterToTorch<T extends TypedArray>({ layout, shape, rows }: ParameterSpec, data: T): T {
  const [a, b, c, d] = shape
  if (layout === 'conv') return hwioToOihw(data, [a, b, c, d])
  if (layout === 'linear') return linearToTorch(data, b, featureMap(rows ?? [1, 1, a]))
  return layout === 'map' ? permuteAxes(data, [a, b, c], [2, 0, 1]) : (data.slice() as T)
}

const featureMap = ([height, width, channels]: readonly [number, number, number]): FeatureMap => ({ height, width, channels })
