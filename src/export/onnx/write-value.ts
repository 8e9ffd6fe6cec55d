/** @file The ONNX form of every op that a network's forward pass may hold. Total over the closed list below; others are refused by name. */
import { normKinds, type Opcode, type Value } from '../../engine/index.js'
import { type Shape, sameShape, sizeOf } from '../../engine/tensor/shape.js'
import type { MapShape } from '../../nn/module.js'
import type { OnnxAttribute } from './encode-model.js'
import { besideForm, convWeight, type Form, linearWeight, orderOf, rowShape, sameOrder } from './forms.js'
import type { GraphWriter } from './graph-writer.js'
import { matchBatchNorm, matchLeakyRelu, matchLinear } from './patterns.js'
import {
  layerNormOfPixels,
  onePixel,
  padRows,
  productOfRows,
  reducedAxes,
  reshapeRows,
  rowsOf,
  sliceRows,
  transposeRows,
} from './write-rows.js'

type Write = (value: Value, writer: GraphWriter) => Form

const unary: Partial<Record<Opcode, string>> = {
  neg: 'Neg',
  abs: 'Abs',
  sign: 'Sign',
  exp: 'Exp',
  log: 'Log',
  sqrt: 'Sqrt',
  reciprocal: 'Reciprocal',
  tanh: 'Tanh',
  sigmoid: 'Sigmoid',
  relu: 'Relu',
  floor: 'Floor',
  sin: 'Sin',
  cos: 'Cos',
  erf: 'Erf',
}

const binary: Partial<Record<Opcode, string>> = {
  add: 'Add',
  sub: 'Sub',
  mul: 'Mul',
  div: 'Div',
  pow: 'Pow',
  maximum: 'Max',
  minimum: 'Min',
  greater: 'Greater',
  greater_equal: 'GreaterOrEqual',
  equal: 'Equal',
}

const comparisons: readonly Opcode[] = ['greater', 'greater_equal', 'equal']

/** Numbers of ONNX's element types that casts name. */
const castTo = { float: 1, bool: 9 } as const

const renamed = (form: Form, name: string): Form => ({ ...form, name })

/** Operands of an elementwise op over one form: varying ones must agree in it, constants are written to broadcast against it. */
function operands(value: Value, inputs: readonly Value[], w: GraphWriter): { form: Form; names: string[] } {
  const whole = inputs.find((v) => w.varies(v) && sameShape(v.shape, value.shape))
  if (!whole) throw w.refuse(value, 'broadcasts its operands')
  const form = w.form(whole)
  const names = inputs.map((v) => {
    if (w.varies(v)) {
      const own = w.form(v)
      const alike = own.kind === form.kind && (own.kind === 'map' || sameOrder(own.order, (form as typeof own).order))
      if (!alike || (own.kind === 'rows' && !sameShape(v.shape, value.shape)) || v.shape.length !== value.shape.length) {
        throw w.refuse(value, 'combines values of different layouts')
      }
      return own.name
    }
    const beside = besideForm(w.tensor(v), form, value.shape)
    if (!beside) throw w.refuse(value, 'has a constant operand that differs between images')
    return w.constant(w.nameOf(v), beside)
  })
  return { form, names }
}

const elementwise: Write = (value, w) => {
  const { op } = value.node
  const { form, names } = operands(value, value.node.inputs, w)
  const name = w.node(binary[op] as string, names)
  return renamed(form, comparisons.includes(op) ? w.node('Cast', [name], { to: castTo.float }) : name)
}

const writeUnary: Write = (value, w) => {
  const form = w.form(value.node.inputs[0])
  return renamed(form, w.node(unary[value.node.op] as string, [form.name]))
}

const conv2d: Write = (value, w) => {
  const { inputs, attrs } = value.node
  const [x, weight, bias] = inputs
  if (inputs.slice(1).some((v) => w.varies(v))) throw w.refuse(value, 'has weights that depend on the images')
  const { shape, data } = w.tensor(weight)
  const [, kh, kw, c, k] = shape
  const names = [w.map(x), w.constant(w.nameOf(weight), convWeight(data, [kh, kw, c, k]))]
  if (bias) names.push(w.constant(w.nameOf(bias), { shape: [k], data: w.tensor(bias).data }))
  const { strideH, strideW, padH, padW } = attrs as Readonly<Record<string, number>>
  const name = w.node('Conv', names, { kernel_shape: [kh, kw], strides: [strideH, strideW], pads: [padH, padW, padH, padW] })
  return { kind: 'map', name }
}

/** Instance and group norm; a norm by the statistics of the batch at hand makes an image's logits depend on its neighbours. */
const normActPool: Write = (value, w) => {
  const { inputs, attrs } = value.node
  const [x, gamma, beta] = inputs
  const kind = normKinds[attrs.kind as number]
  if (value.index > 0) throw w.refuse(value, 'gives its statistics away')
  if (kind === 'batch') throw w.refuse(value, 'normalises by the batch at hand; use running statistics in eval mode')
  if (w.varies(gamma) || w.varies(beta)) throw w.refuse(value, 'has a scale or shift that depends on the images')
  const [, , height, width, channels] = x.shape
  const [scale, shift] = [w.tensor(gamma).data, w.tensor(beta).data]
  const epsilon = { epsilon: { float: attrs.eps as number } }
  const named = (v: Value, data: Float32Array, shape: Shape) => w.constant(w.nameOf(v), { shape, data })
  if (kind === 'group' && attrs.groups === 1 && onePixel(x.shape) && !attrs.relu && attrs.pool === 0) {
    const perChannel = (v: Value, data: Float32Array) => named(v, data, [channels, 1, 1])
    return layerNormOfPixels(x, [perChannel(gamma, scale), perChannel(beta, shift)], attrs.eps as number, w)
  }
  let name = w.map(x)
  if (kind === 'instance') {
    name = w.node('InstanceNormalization', [name, named(gamma, scale, [channels]), named(beta, shift, [channels])], epsilon)
  } else {
    const groups = attrs.groups as number
    const unit = (fill: number) => w.constant('unit', { shape: [groups], data: new Float32Array(groups).fill(fill) })
    const split = w.node('Reshape', [name, w.shape([0, groups, -1])])
    const normed = w.node('InstanceNormalization', [split, unit(1), unit(0)], epsilon)
    name = w.node('Reshape', [normed, w.shape([0, channels, height, width])])
    if (scale.some((v) => v !== 1)) name = w.node('Mul', [name, named(gamma, scale, [channels, 1, 1])])
    if (shift.some((v) => v !== 0)) name = w.node('Add', [name, named(beta, shift, [channels, 1, 1])])
  }
  if (attrs.relu) name = w.node('Relu', [name])
  if (attrs.pool === 2) name = w.node('AveragePool', [name], { kernel_shape: [2, 2], strides: [2, 2] })
  return { kind: 'map', name }
}

const pool =
  (op: 'AveragePool' | 'MaxPool'): Write =>
  (value, w) => {
    const { inputs, attrs } = value.node
    if (inputs[0].shape.length !== 5) throw w.refuse(value, 'pools something else than feature maps')
    const { windowH, windowW, strideH, strideW } = attrs as Readonly<Record<string, number>>
    const name = w.node(op, [w.map(inputs[0])], { kernel_shape: [windowH, windowW], strides: [strideH, strideW] })
    return { kind: 'map', name }
  }

const reshape: Write = (value, w) => {
  const [x] = value.node.inputs
  const form = w.form(x)
  const [groups, rows, ...target] = value.shape
  const source = x.shape.slice(2)
  const keepsBatch = groups === 1 && rows === x.shape[1] && sizeOf(target) === sizeOf(source)
  if (keepsBatch && form.kind === 'map' && target.length === 1) {
    const map = source as unknown as MapShape
    const order = orderOf(map)
    return { kind: 'rows', name: w.node('Flatten', [form.name], { axis: 1 }), ...(order && { order }) }
  }
  if (keepsBatch && form.kind === 'rows' && target.length === 3) {
    const map = target as unknown as MapShape
    const [height, width, channels] = map
    if (sameOrder(orderOf(map), form.order)) {
      return { kind: 'map', name: w.node('Reshape', [form.name, w.shape([0, channels, height, width])]) }
    }
  }
  return reshapeRows(value, w)
}

/** x W, with the bias that is added to it as one Gemm. */
function linear(product: Value, bias: Value | undefined, w: GraphWriter): Form {
  const { inputs, attrs } = product.node
  const [x, weight] = inputs
  const form = w.form(x)
  if (form.kind !== 'rows' || rowShape(x.shape).length !== 2 || attrs.transposeA || w.varies(weight))
    throw w.refuse(product, 'is no product of rows with parameters')
  const matrix = linearWeight(w.tensor(weight), attrs.transposeB === true, form.order)
  const names = [form.name, w.constant(w.nameOf(weight), matrix)]
  if (bias) names.push(w.constant(w.nameOf(bias), { shape: [matrix.shape[0]], data: w.tensor(bias).data }))
  return { kind: 'rows', name: w.node('Gemm', names, { transB: 1 }) }
}

const matmul: Write = (value, w) => (value.node.inputs.every((v) => w.varies(v)) ? productOfRows(value, w) : linear(value, undefined, w))

const add: Write = (value, w) => {
  const dense = matchLinear(value, w)
  if (dense) return linear(dense.product, dense.bias, w)
  const norm = matchBatchNorm(value, w)
  if (!norm) return elementwise(value, w)
  const vectors = [norm.scale, norm.shift, norm.mean, norm.variance].map((v) => {
    const { data } = w.tensor(v)
    return w.constant(w.nameOf(v), { shape: [data.length], data })
  })
  const name = w.node('BatchNormalization', [w.map(norm.x), ...vectors], { epsilon: { float: norm.eps } })
  return { kind: 'map', name }
}

const select: Write = (value, w) => {
  const leaky = matchLeakyRelu(value, w)
  if (leaky) {
    const form = w.form(leaky.x)
    return renamed(form, w.node('LeakyRelu', [form.name], { alpha: { float: leaky.slope } }))
  }
  const { form, names } = operands(value, value.node.inputs, w)
  const [condition, ...choices] = names
  return renamed(form, w.node('Where', [w.node('Cast', [condition], { to: castTo.bool }), ...choices]))
}

/** Over both axes of the pixels of a map, as a mean over it needs; of rows over any axes but the batch's. */
const reduce =
  (
    op: string,
    attributes: (axes: readonly number[], w: GraphWriter) => { inputs: string[]; attributes: Record<string, OnnxAttribute> },
  ): Write =>
  (value, w) => {
    const [x] = value.node.inputs
    const axes = value.node.attrs.axes as readonly number[]
    const ofMap = w.form(x).kind === 'map'
    if (ofMap && axes.join() !== '2,3') throw w.refuse(value, 'reduces other axes than height and width of a map')
    const { inputs, attributes: own } = attributes(ofMap ? [2, 3] : reducedAxes(value, w), w)
    return { kind: 'rows', name: w.node(op, [ofMap ? w.map(x) : rowsOf(x, w), ...inputs], { ...own, keepdims: 0 }) }
  }

const logSoftmax: Write = (value, w) => {
  const form = w.form(value.node.inputs[0])
  if (form.kind !== 'rows') throw w.refuse(value, 'reads a map')
  return renamed(form, w.node('LogSoftmax', [form.name], { axis: -1 }))
}

const passThrough: Write = (value, w) => {
  const [x] = value.node.inputs
  if (!sameShape(x.shape, value.shape) || x.dtype !== value.dtype) throw w.refuse(value, 'changes shape or dtype')
  return w.form(x)
}

const writers: Partial<Record<Opcode, Write>> = {
  ...Object.fromEntries(Object.keys(unary).map((op) => [op, writeUnary])),
  ...Object.fromEntries(Object.keys(binary).map((op) => [op, elementwise])),
  square(value, w) {
    const form = w.form(value.node.inputs[0])
    return renamed(form, w.node('Mul', [form.name, form.name]))
  },
  rsqrt(value, w) {
    const form = w.form(value.node.inputs[0])
    return renamed(form, w.node('Reciprocal', [w.node('Sqrt', [form.name])]))
  },
  add,
  select,
  conv2d,
  matmul,
  reshape,
  transpose: transposeRows,
  pad: padRows,
  slice: sliceRows,
  norm_act_pool: normActPool,
  avg_pool2d: pool('AveragePool'),
  max_pool2d: pool('MaxPool'),
  // From this operator set on, ReduceSum takes its axes as an input; ReduceMax has them as an attribute.
  sum: reduce('ReduceSum', (axes, w) => ({ inputs: [w.shape(axes)], attributes: {} })),
  max: reduce('ReduceMax', (axes) => ({ inputs: [], attributes: { axes } })),
  log_softmax: logSoftmax,
  copy: passThrough,
  cast: passThrough,
}

/** Writes one value with its op; throws `invalid_option` for an op that has no form. */
export const writeValue: Write = (value, writer) => {
  const write = writers[value.node.op]
  if (!write) throw writer.refuse(value, 'is none of those that can be exported')
  return write(value, writer)
}
