/** @file Convolution and its two adjoints, closed under differentiation. Layouts: x [G,N,H,W,C], w [G,KH,KW,C,K], y [G,N,OH,OW,K]. */
import { checkOptions } from '../../arguments.js'
import { AludelError, expected } from '../../errors.js'
import type { Attrs, TensorType, Value } from '../graph/node.js'
import { formatShape, sizeOf } from '../tensor/shape.js'
import { checkValues, emit, emitOne } from './build.js'
import { checkArity, checkDtype, checkRank, checkShapeIs, checkWholeList, intAttr } from './check.js'
import { type ConvGeometry, convForward, convInputGrad, convWeightGrad } from './conv-reference.js'
import { defineOp } from './define.js'
import { broadcast, reshape } from './movement.js'
import { tableSlice } from './slicing.js'

/** One number for both axes, or [vertical, horizontal]. */
export type PerAxis = number | readonly [number, number]
export function perAxis(op: string, name: string, value: PerAxis): readonly [number, number] {
  const pair = typeof value === 'number' ? [value, value] : value
  checkWholeList(op, name, pair, 2)
  return pair as readonly [number, number]
}

export interface ConvOptions {
  readonly stride?: PerAxis
  readonly pad?: PerAxis
}

/** Encoded names of the options of a convolution. Throws `invalid_option`. */
export function geometryAttrs(options: ConvOptions): Attrs {
  checkOptions('conv2d', options, { stride: true, pad: true })
  const { stride = 1, pad = 0 } = options
  const [strideH, strideW] = perAxis('conv2d', 'stride', stride)
  const [padH, padW] = perAxis('conv2d', 'pad', pad)
  return { strideH, strideW, padH, padW, algorithm: 0 }
}

/**
 * Cross-correlation with zero padding. x `[G,N,H,W,C]`, w `[G,KH,KW,C,K]`, bias `[G,K]` -> `[G,N,OH,OW,K]`, f32.
 * Weights of one group serve all groups of x (the groups become one batch). Without the group axis everywhere
 * (x `[N,H,W,C]`, w `[KH,KW,C,K]`, bias `[K]`) the result has none either.
 */
export function conv2d(x: Value, w: Value, bias?: Value, options: ConvOptions = {}): Value {
  checkValues('conv2d', bias === undefined ? [x, w] : [x, w, bias])
  if (w.shape.length === 4) {
    const grouped = x.shape.length === 4 ? reshape(x, [1, ...x.shape]) : x
    const y = conv2d(grouped, reshape(w, [1, ...w.shape]), bias && reshape(bias, [1, sizeOf(bias.shape)]), options)
    return x.shape.length === 4 ? reshape(y, y.shape.slice(1)) : y
  }
  if (x.shape.length === 5 && w.shape[0] === 1 && x.shape[0] > 1) {
    const [groups, images, ...rest] = x.shape
    const y = conv2d(reshape(x, [1, groups * images, ...rest]), w, bias, options)
    return reshape(y, [groups, images, ...y.shape.slice(2)])
  }
  return emitOne('conv2d', bias ? [x, w, bias] : [x, w], geometryAttrs(options))
}

/** The adjoint of `conv2d` in x; `height` and `width` are those of x. */
export const conv2dInputGrad = (dy: Value, w: Value, height: number, width: number, options: ConvOptions = {}): Value =>
  emitOne('conv2d_input_grad', [dy, w], { ...geometryAttrs(options), height, width })

/** The adjoints of `conv2d` in w and bias. */
export function conv2dWeightGrad(
  x: Value,
  dy: Value,
  kernelH: number,
  kernelW: number,
  options: ConvOptions = {},
): { dw: Value; db: Value } {
  const [dw, db] = emit('conv2d_weight_grad', [x, dy], { ...geometryAttrs(options), kernelH, kernelW })
  return { dw, db }
}

/** Bit of `algorithm`: the weight input is an output of conv2d_prepare. */
export const preparedBit = 16

const geometryOf = (attrs: Attrs): ConvGeometry => attrs as unknown as ConvGeometry

/** Attributes that every derivative passes on; the algorithm is chosen anew for each op by the compiler. */
const inherited = ({ strideH, strideW, padH, padW }: Attrs): ConvOptions => ({
  stride: [strideH as number, strideW as number],
  pad: [padH as number, padW as number],
})

function checkGeometry(op: string, attrs: Attrs): ConvGeometry {
  intAttr(op, attrs, 'algorithm', 0, 0)
  return {
    strideH: intAttr(op, attrs, 'strideH', 1),
    strideW: intAttr(op, attrs, 'strideW', 1),
    padH: intAttr(op, attrs, 'padH'),
    padW: intAttr(op, attrs, 'padW'),
  }
}

const isPrepared = (attrs: Attrs): boolean => (Number(attrs.algorithm ?? 0) & preparedBit) !== 0

/** [G, KH, KW, C, K] of the weights; a prepared input carries the sizes that its layout hides as attributes. */
function weightShape(op: string, w: TensorType, attrs: Attrs): readonly number[] {
  if (!isPrepared(attrs)) {
    checkRank(op, 'w', w, 5, '[G,KH,KW,C,K]')
    return w.shape
  }
  checkRank(op, 'w', w, 4, 'prepared [G,T,R,Sp]')
  const own = ['kernelH', 'kernelW', 'channels', 'filters'].map((name) => intAttr(op, attrs, name, 1))
  return [w.shape[0], ...own]
}

/** Output sizes; a window larger than the padded image is an error. */
function outputSize(
  op: string,
  [height, width]: readonly number[],
  [kernelH, kernelW]: readonly number[],
  g: ConvGeometry,
): [number, number] {
  const outH = Math.floor((height + 2 * g.padH - kernelH) / g.strideH) + 1
  const outW = Math.floor((width + 2 * g.padW - kernelW) / g.strideW) + 1
  if (outH < 1 || outW < 1) {
    throw expected('invalid_shape', op, `an image of at least ${kernelH}x${kernelW} with its padding`, `${height}x${width}`)
  }
  return [outH, outW]
}

const checkF32 = (op: string, inputs: readonly TensorType[]): void => {
  for (const input of inputs) checkDtype(op, input, 'f32')
}

const encodeConv = (attrs: Attrs): readonly number[] => [
  attrs.strideH as number,
  attrs.strideW as number,
  attrs.padH as number,
  attrs.padW as number,
  Number(attrs.algorithm ?? 0),
]

/** Two per product and sum, over every tap of every output; taps in the padding are counted too. */
const convFlops = (y: TensorType, taps: number): number => 2 * sizeOf(y.shape) * taps

const conv2dOp = defineOp({
  doc: 'Cross-correlation of images with filters per group, zero padding, optional bias.',
  type(inputs, attrs) {
    checkArity('conv2d', inputs, 2, 3)
    checkF32('conv2d', inputs)
    const [x, w, bias] = inputs
    checkRank('conv2d', 'x', x, 5, '[G,N,H,W,C]')
    const [groups, kernelH, kernelW, channels, filters] = weightShape('conv2d', w, attrs)
    if (groups !== x.shape[0] || channels !== x.shape[4]) {
      throw expected(
        'invalid_shape',
        'conv2d',
        `w with ${x.shape[0]} groups and ${x.shape[4]} channels (x is ${formatShape(x.shape)})`,
        formatShape(w.shape),
      )
    }
    if (bias) checkShapeIs('conv2d', 'bias', bias, [groups, filters])
    const size = outputSize('conv2d', x.shape.slice(2, 4), [kernelH, kernelW], checkGeometry('conv2d', attrs))
    return [{ shape: [groups, x.shape[1], ...size, filters], dtype: 'f32' }]
  },
  vjp({ node, inputs: [x, w], cotangents: [cotangent], needs }) {
    const g = cotangent as Value
    const options = inherited(node.attrs)
    const dx = needs[0] ? conv2dInputGrad(g, w, x.shape[2], x.shape[3], options) : null
    const weight = needs[1] || needs[2] ? conv2dWeightGrad(x, g, w.shape[1], w.shape[2], options) : null
    const grads = [dx, needs[1] ? weight!.dw : null, needs[2] ? weight!.db : null]
    return grads.slice(0, node.inputs.length)
  },
  reference([x, w, bias], attrs, [y]) {
    refusePrepared('conv2d', attrs)
    return [convForward(x, w, bias, y.shape, geometryOf(attrs))]
  },
  flops([, w], [y], attrs) {
    const [, kernelH, kernelW, channels] = weightShape('conv2d', w, attrs)
    return convFlops(y, kernelH * kernelW * channels)
  },
  encode: encodeConv,
  slice: tableSlice([
    { in: [1, null, null], out: [1] },
    { in: [1, null], out: [1] },
    { in: [0, 0, 0], out: [0] },
    { in: [0, 0], out: [0] },
  ]),
})

const inputGradOp = defineOp({
  doc: 'Gradient of conv2d with respect to its images.',
  type(inputs, attrs) {
    const op = 'conv2d_input_grad'
    checkArity(op, inputs, 2)
    checkF32(op, inputs)
    const [dy, w] = inputs
    checkRank(op, 'dy', dy, 5, '[G,N,OH,OW,K]')
    const [groups, kernelH, kernelW, channels, filters] = weightShape(op, w, attrs)
    const size = [intAttr(op, attrs, 'height', 1), intAttr(op, attrs, 'width', 1)]
    const out = outputSize(op, size, [kernelH, kernelW], checkGeometry(op, attrs))
    checkShapeIs(op, 'dy', dy, [groups, dy.shape[1], ...out, filters])
    return [{ shape: [groups, dy.shape[1], ...size, channels], dtype: 'f32' }]
  },
  vjp({ node, inputs: [dy, w], cotangents: [cotangent], needs }) {
    const u = cotangent as Value
    const options = inherited(node.attrs)
    return [
      needs[0] ? conv2d(u, w, undefined, options) : null,
      needs[1] ? conv2dWeightGrad(u, dy, w.shape[1], w.shape[2], options).dw : null,
    ]
  },
  reference([dy, w], attrs, [dx]) {
    refusePrepared('conv2d_input_grad', attrs)
    return [convInputGrad(dy, w, dx.shape, geometryOf(attrs))]
  },
  flops([dy, w], [dx], attrs) {
    const [, kernelH, kernelW] = weightShape('conv2d_input_grad', w, attrs)
    return convFlops(dy, kernelH * kernelW * dx.shape[4])
  },
  encode: encodeConv,
  slice: tableSlice([
    { in: [1, null], out: [1] },
    { in: [0, 0], out: [0] },
  ]),
})

const weightGradOp = defineOp({
  doc: 'Gradients of conv2d with respect to its filters and bias.',
  type(inputs, attrs) {
    const op = 'conv2d_weight_grad'
    checkArity(op, inputs, 2)
    checkF32(op, inputs)
    const [x, dy] = inputs
    checkRank(op, 'x', x, 5, '[G,N,H,W,C]')
    checkRank(op, 'dy', dy, 5, '[G,N,OH,OW,K]')
    const kernel = [intAttr(op, attrs, 'kernelH', 1), intAttr(op, attrs, 'kernelW', 1)]
    const size = outputSize(op, x.shape.slice(2, 4), kernel, checkGeometry(op, attrs))
    const [groups, images, , , channels] = x.shape
    const filters = dy.shape[4]
    checkShapeIs(op, 'dy', dy, [groups, images, ...size, filters])
    return [
      { shape: [groups, ...kernel, channels, filters], dtype: 'f32' },
      { shape: [groups, filters], dtype: 'f32' },
    ]
  },
  vjp({ node, inputs: [x, dy], outputs: [, db], cotangents: [uw, ub], needs }) {
    const options = inherited(node.attrs)
    const dx = needs[0] && uw ? conv2dInputGrad(dy, uw, x.shape[2], x.shape[3], options) : null
    if (!needs[1]) return [dx, null]
    if (uw) return [dx, conv2d(x, uw, ub ?? undefined, options)]
    const [groups, filters] = db.shape
    return [dx, ub && broadcast(reshape(ub, [groups, 1, 1, 1, filters]), dy.shape)]
  },
  reference: ([x, dy], attrs, [dw]) => convWeightGrad(x, dy, dw.shape, geometryOf(attrs)),
  flops: ([, dy], [dw]) => convFlops(dy, dw.shape[1] * dw.shape[2] * dw.shape[3]) + sizeOf(dy.shape),
  encode: encodeConv,
  slice: tableSlice([
    { in: [1, 1], out: ['sum', 'sum'] },
    { in: [0, 0], out: [0, 0] },
  ]),
})

function refusePrepared(op: string, attrs: Attrs): void {
  if (isPrepared(attrs)) throw new AludelError('internal', `${op}: the reference interpreter runs graphs before filters are prepared`)
}

/** Prepared filters: `[G,T,R,Sp]`, T taps (36 for Winograd), R rows, Sp columns rounded up to 32. */
const prepareOp = defineOp({
  doc: 'Filters in the layout of the chosen convolution algorithm; emitted by the compiler.',
  type(inputs, attrs) {
    const op = 'conv2d_prepare'
    checkArity(op, inputs, 1)
    checkF32(op, inputs)
    checkRank(op, 'w', inputs[0], 5, '[G,KH,KW,C,K]')
    const [groups, kernelH, kernelW, channels, filters] = inputs[0].shape
    const isWinograd = (intAttr(op, attrs, 'algorithm', 0, 0) & ~preparedBit) === 1
    const [rows, columns] = intAttr(op, attrs, 'role') === 0 ? [channels, filters] : [filters, channels]
    return [{ shape: [groups, isWinograd ? 36 : kernelH * kernelW, rows, Math.ceil(columns / 32) * 32], dtype: 'f32' }]
  },
  reference() {
    throw new AludelError('internal', 'conv2d_prepare: the reference interpreter runs graphs before filters are prepared')
  },
  flops: (_, [y]) => sizeOf(y.shape),
  encode: (attrs) => [attrs.role as number, Number(attrs.algorithm ?? 0)],
})

export const convOps = { conv2d: conv2dOp, conv2d_input_grad: inputGradOp, conv2d_weight_grad: weightGradOp, conv2d_prepare: prepareOp }
