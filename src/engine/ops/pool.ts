/** @file Pooling over windows of [...,H,W,C] without padding; a remainder of rows or columns is left out (floor). */
import { checkOptions } from '../../arguments.js'
import { expected } from '../../errors.js'
import type { Attrs, TensorType, Value } from '../graph/node.js'
import { formatShape, type Shape, sizeOf } from '../tensor/shape.js'
import { emitOne } from './build.js'
import { checkArity, checkFloats, checkShapeIs, intAttr } from './check.js'
import { type PerAxis, perAxis } from './conv.js'
import { defineOp, type OpDef, type RefTensor } from './define.js'
import { zeros } from './reference-tensor.js'
import { leadingSlice } from './slicing.js'

export interface PoolOptions {
  readonly window: PerAxis
  /** Default: the window. */
  readonly stride?: PerAxis
}

function windowAttrs(op: string, options: PoolOptions): Attrs {
  checkOptions(op, options, { window: true, stride: true })
  const { window, stride = window } = options
  const [windowH, windowW] = perAxis(op, 'window', window)
  const [strideH, strideW] = perAxis(op, 'stride', stride)
  return { windowH, windowW, strideH, strideW }
}

/** Mean of each window: x `[…,H,W,C]` -> `[…,OH,OW,C]`. */
export const avgPool2d = (x: Value, options: PoolOptions): Value => emitOne('avg_pool2d', [x], windowAttrs('avg_pool2d', options))
/** Largest element of each window, the first one on ties. */
export const maxPool2d = (x: Value, options: PoolOptions): Value => emitOne('max_pool2d', [x], windowAttrs('max_pool2d', options))

const inner = 3

function checkWindow(op: string, x: Shape, attrs: Attrs): Shape {
  const [windowH, windowW] = [intAttr(op, attrs, 'windowH', 1), intAttr(op, attrs, 'windowW', 1)]
  const [strideH, strideW] = [intAttr(op, attrs, 'strideH', 1), intAttr(op, attrs, 'strideW', 1)]
  const [height, width, channels] = x.slice(-inner)
  if (x.length < inner || height < windowH || width < windowW) {
    throw expected('invalid_shape', op, `[…,H,W,C] with an image of at least ${windowH}x${windowW}`, formatShape(x))
  }
  return [...x.slice(0, -inner), Math.floor((height - windowH) / strideH) + 1, Math.floor((width - windowW) / strideW) + 1, channels]
}

const encodeWindow = (attrs: Attrs): readonly number[] => [
  attrs.windowH as number,
  attrs.windowW as number,
  attrs.strideH as number,
  attrs.strideW as number,
]

/** Calls `visit(output offset, channel count, input offset, is first tap)` for every tap of every window; offsets are those of channel 0. */
function forEachTap(x: Shape, y: Shape, attrs: Attrs, visit: (yAt: number, channels: number, xAt: number, first: boolean) => void): void {
  const [windowH, windowW, strideH, strideW] = encodeWindow(attrs)
  const [height, width, channels] = x.slice(-inner)
  const [outH, outW] = y.slice(-inner)
  const images = sizeOf(x.slice(0, -inner))
  for (let image = 0; image < images; image++) {
    for (let oh = 0; oh < outH; oh++) {
      for (let ow = 0; ow < outW; ow++) {
        const yAt = ((image * outH + oh) * outW + ow) * channels
        for (let tap = 0; tap < windowH * windowW; tap++) {
          const h = oh * strideH + Math.floor(tap / windowW)
          const w = ow * strideW + (tap % windowW)
          visit(yAt, channels, ((image * height + h) * width + w) * channels, tap === 0)
        }
      }
    }
  }
}

/** Position in x of the maximum of every element of y. */
function argmaxOffsets(x: RefTensor, y: Shape, attrs: Attrs): Int32Array {
  const best = new Int32Array(sizeOf(y))
  forEachTap(x.shape, y, attrs, (yAt, channels, xAt, first) => {
    for (let c = 0; c < channels; c++) {
      if (first || x.data[xAt + c] > x.data[best[yAt + c]]) best[yAt + c] = xAt + c
    }
  })
  return best
}

const area = (attrs: Attrs): number => (attrs.windowH as number) * (attrs.windowW as number)
const options = (attrs: Attrs): PoolOptions => ({
  window: [attrs.windowH as number, attrs.windowW as number],
  stride: [attrs.strideH as number, attrs.strideW as number],
})

const avgPool = defineOp({
  doc: 'Mean of each window.',
  type(inputs, attrs) {
    checkArity('avg_pool2d', inputs, 1)
    checkFloats('avg_pool2d', inputs)
    return [{ shape: checkWindow('avg_pool2d', inputs[0].shape, attrs), dtype: inputs[0].dtype }]
  },
  vjp({ node, inputs: [x], cotangents: [g] }) {
    const [height, width] = x.shape.slice(-inner)
    return [emitOne('avg_pool2d_grad', [g as Value], { ...node.attrs, height, width })]
  },
  reference([x], attrs, [y]) {
    const out = zeros(y.shape)
    const scale = 1 / area(attrs)
    forEachTap(x.shape, y.shape, attrs, (yAt, channels, xAt) => {
      for (let c = 0; c < channels; c++) out.data[yAt + c] += x.data[xAt + c] * scale
    })
    return [out]
  },
  flops: (_, [y], attrs) => sizeOf(y.shape) * (area(attrs) + 1),
  encode: encodeWindow,
  slice: leadingSlice(inner),
})

const avgPoolGrad = defineOp({
  doc: 'Gradient of avg_pool2d: spreads each element over its window.',
  type(inputs, attrs) {
    const op = 'avg_pool2d_grad'
    checkArity(op, inputs, 1)
    checkFloats(op, inputs)
    const [g] = inputs
    const size = [intAttr(op, attrs, 'height', 1), intAttr(op, attrs, 'width', 1)]
    const shape = [...g.shape.slice(0, -inner), ...size, ...g.shape.slice(-1)]
    checkShapeIs(op, 'g', g, checkWindow(op, shape, attrs))
    return [{ shape, dtype: g.dtype }]
  },
  vjp: ({ node, cotangents: [u] }) => [avgPool2d(u as Value, options(node.attrs))],
  reference([g], attrs, [dx]) {
    const out = zeros(dx.shape)
    const scale = 1 / area(attrs)
    forEachTap(dx.shape, g.shape, attrs, (yAt, channels, xAt) => {
      for (let c = 0; c < channels; c++) out.data[xAt + c] += g.data[yAt + c] * scale
    })
    return [out]
  },
  flops: ([g], _, attrs) => sizeOf(g.shape) * (area(attrs) + 1),
  encode: encodeWindow,
  slice: leadingSlice(inner),
})

/** Types of the ops that read x to find its maxima: `second` has the shape of the pooled (or of the full) image. */
function checkMaxPair(op: string, inputs: readonly TensorType[], attrs: Attrs, isPooled: boolean): Shape {
  checkArity(op, inputs, 2)
  checkFloats(op, inputs)
  const [x, second] = inputs
  const pooled = checkWindow(op, x.shape, attrs)
  checkShapeIs(op, isPooled ? 'g' : 'h', second, isPooled ? pooled : x.shape)
  return isPooled ? x.shape : pooled
}

const maxPool = defineOp({
  doc: 'Largest element of each window.',
  type(inputs, attrs) {
    checkArity('max_pool2d', inputs, 1)
    checkFloats('max_pool2d', inputs)
    return [{ shape: checkWindow('max_pool2d', inputs[0].shape, attrs), dtype: inputs[0].dtype }]
  },
  vjp: ({ node, inputs: [x], cotangents: [g] }) => [emitOne('max_pool2d_grad', [x, g as Value], node.attrs)],
  reference: ([x], attrs, [y]) => [{ shape: y.shape, data: Float64Array.from(argmaxOffsets(x, y.shape, attrs), (at) => x.data[at]) }],
  flops: (_, [y], attrs) => sizeOf(y.shape) * area(attrs),
  encode: encodeWindow,
  slice: leadingSlice(inner),
})

const maxPoolGrad = defineOp({
  doc: 'Gradient of max_pool2d: adds each element at the position of its maximum in x.',
  type: (inputs, attrs) => [{ shape: checkMaxPair('max_pool2d_grad', inputs, attrs, true), dtype: inputs[0].dtype }],
  differentiable: [1],
  vjp: ({ node, inputs: [x], cotangents: [u] }) => [null, emitOne('max_pool2d_gather', [x, u as Value], node.attrs)],
  reference([x, g], attrs) {
    const out = zeros(x.shape)
    argmaxOffsets(x, g.shape, attrs).forEach((at, i) => {
      out.data[at] += g.data[i]
    })
    return [out]
  },
  flops: ([, g], _, attrs) => sizeOf(g.shape) * (area(attrs) + 1),
  encode: encodeWindow,
  slice: leadingSlice(inner),
})

const maxPoolGather = defineOp({
  doc: 'Elements of h at the positions of the maxima of x: the adjoint of max_pool2d_grad.',
  type: (inputs, attrs) => [{ shape: checkMaxPair('max_pool2d_gather', inputs, attrs, false), dtype: inputs[0].dtype }],
  differentiable: [1],
  vjp: ({ node, inputs: [x], cotangents: [u] }) => [null, emitOne('max_pool2d_grad', [x, u as Value], node.attrs)],
  reference: ([x, h], attrs, [y]) => [{ shape: y.shape, data: Float64Array.from(argmaxOffsets(x, y.shape, attrs), (at) => h.data[at]) }],
  flops: (_, [y], attrs) => sizeOf(y.shape) * area(attrs),
  encode: encodeWindow,
  slice: leadingSlice(inner),
})

export const poolOps = {
  avg_pool2d: avgPool,
  avg_pool2d_grad: avgPoolGrad,
  max_pool2d: maxPool,
  max_pool2d_grad: maxPoolGrad,
  max_pool2d_gather: maxPoolGather,
} satisfies Record<string, OpDef>
