/** @file Records of the movement ops. Output shapes that the inputs do not determine are the attribute `shape`. */
import { expected } from '../../errors.js'
import type { Attrs, TensorType, Value } from '../graph/node.js'
import { broadcastShapes, formatShape, type Shape, sameShape, sizeOf, stridesOf } from '../tensor/shape.js'
import { axesAttr, checkArity, intAttr, listAttr, shapeAttr } from './check.js'
import { defineOp, type OpDef, type RefTensor } from './define.js'
import { pad, reshape, reverse, slice, transpose } from './movement.js'
import { sum } from './reduce.js'
import { broadcastData, walkStrided, zeros } from './reference-tensor.js'
import { elementwiseSlice, independent, sliceRule } from './slicing.js'

const free = (): number => 0
const list = (attrs: Attrs, name: string): readonly number[] => attrs[name] as readonly number[]

/** Elements of x read with strides: the common reference of transpose, slice and reverse. */
function gatherStrided(x: RefTensor, shape: Shape, strides: readonly number[], start = 0): RefTensor {
  const y = zeros(shape)
  walkStrided(shape, strides, start, (i, offset) => {
    y.data[i] = x.data[offset]
  })
  return y
}

const reshapeOp = defineOp({
  doc: 'The same elements in row-major order under another shape.',
  type([x, ...rest], attrs) {
    checkArity('reshape', [x, ...rest], 1)
    const shape = shapeAttr('reshape', attrs)
    if (sizeOf(shape) !== sizeOf(x.shape)) {
      throw expected(
        'invalid_shape',
        'reshape',
        `a shape of ${sizeOf(x.shape)} elements (from ${formatShape(x.shape)})`,
        formatShape(shape),
      )
    }
    return [{ shape, dtype: x.dtype }]
  },
  vjp: ({ inputs: [x], cotangents: [g] }) => [reshape(g as Value, x.shape)],
  reference: ([x], attrs) => [{ shape: list(attrs, 'shape'), data: x.data }],
  flops: free,
  // A slice stays one block of the other shape only where as many elements stand before the axis and behind it.
  slice: sliceRule(([batch], { inputs: [x], outputs: [y] }) => {
    const before = (shape: Shape, axis: number): number => sizeOf(shape.slice(0, axis))
    const axis = y.shape.findIndex((d, i) => d === x.shape[batch as number] && before(y.shape, i) === before(x.shape, batch as number))
    return axis < 0 ? undefined : [axis]
  }),
})

const permutationOf = (attrs: Attrs): readonly number[] => list(attrs, 'permutation')

const transposeOp = defineOp({
  doc: 'Axes in another order.',
  type(inputs, attrs) {
    checkArity('transpose', inputs, 1)
    const [{ shape, dtype }] = inputs
    const permutation = listAttr('transpose', attrs, 'permutation', shape.length)
    if (new Set(permutation).size !== shape.length || permutation.some((axis) => axis >= shape.length)) {
      throw expected('invalid_shape', 'transpose', `a permutation of ${shape.length} axes`, formatShape(permutation))
    }
    return [{ shape: permutation.map((axis) => shape[axis]), dtype }]
  },
  vjp({ node, cotangents: [g] }) {
    const permutation = permutationOf(node.attrs)
    return [
      transpose(
        g as Value,
        permutation.map((_, axis) => permutation.indexOf(axis)),
      ),
    ]
  },
  reference([x], attrs, [y]) {
    const strides = stridesOf(x.shape)
    return [
      gatherStrided(
        x,
        y.shape,
        permutationOf(attrs).map((axis) => strides[axis]),
      ),
    ]
  },
  flops: free,
  encode: permutationOf,
  slice: sliceRule(([batch], { attrs }) => [permutationOf(attrs).indexOf(batch as number)]),
})

const broadcastOp = defineOp({
  doc: 'Repeats size-1 axes and adds leading axes up to the attribute shape.',
  type(inputs, attrs) {
    checkArity('broadcast', inputs, 1)
    const shape = shapeAttr('broadcast', attrs)
    if (!sameShape(broadcastShapes('broadcast', shape, inputs[0].shape), shape)) {
      throw expected('invalid_shape', 'broadcast', `a shape that broadcasts to ${formatShape(shape)}`, formatShape(inputs[0].shape))
    }
    return [{ shape, dtype: inputs[0].dtype }]
  },
  vjp: ({ inputs: [x], cotangents: [g] }) => [sumTo(g as Value, x.shape)],
  reference: ([x], _, [y]) => [{ shape: y.shape, data: broadcastData(x, y.shape) }],
  flops: free,
  slice: elementwiseSlice,
})

/** Sums a cotangent over the axes that broadcasting added or repeated: the one place where broadcasting is undone. */
export function sumTo(g: Value, shape: Shape): Value {
  const added = g.shape.length - shape.length
  const axes = g.shape.flatMap((d, axis) => (axis < added || (shape[axis - added] === 1 && d !== 1) ? [axis] : []))
  return axes.length === 0 ? reshape(g, shape) : reshape(sum(g, { axes }), shape)
}

const sliceOp = defineOp({
  doc: 'Every step-th element from start, per axis.',
  type(inputs, attrs) {
    checkArity('slice', inputs, 1)
    const [x] = inputs
    const shape = shapeAttr('slice', attrs)
    const starts = listAttr('slice', attrs, 'starts', x.shape.length)
    const steps = listAttr('slice', attrs, 'steps', x.shape.length, 1)
    if (shape.length !== x.shape.length || shape.some((d, i) => starts[i] + (d - 1) * steps[i] >= x.shape[i])) {
      throw expected(
        'invalid_shape',
        'slice',
        `a window inside ${formatShape(x.shape)}`,
        `${formatShape(shape)} from ${formatShape(starts)}`,
      )
    }
    return [{ shape, dtype: x.dtype }]
  },
  vjp({ node, inputs: [x], cotangents: [g] }) {
    const { before, interior, after } = padOfSlice(x, node.attrs)
    return [pad(g as Value, { before, interior, after })]
  },
  reference([x], attrs, [y]) {
    const own = stridesOf(x.shape)
    const steps = list(attrs, 'steps')
    const start = list(attrs, 'starts').reduce((offset, s, i) => offset + s * own[i], 0)
    return [
      gatherStrided(
        x,
        y.shape,
        own.map((stride, i) => stride * steps[i]),
        start,
      ),
    ]
  },
  flops: free,
  encode: (attrs) => [...list(attrs, 'starts'), ...list(attrs, 'steps')],
  slice: sliceRule(([batch], { inputs: [x], outputs: [y] }) =>
    x.shape[batch as number] === y.shape[batch as number] ? [batch] : undefined,
  ),
})

function padOfSlice(x: TensorType, attrs: Attrs): { before: Shape; interior: Shape; after: Shape } {
  const before = list(attrs, 'starts')
  const steps = list(attrs, 'steps')
  const shape = list(attrs, 'shape')
  const after = x.shape.map((d, i) => d - 1 - before[i] - (shape[i] - 1) * steps[i])
  return { before, interior: steps.map((s) => s - 1), after }
}

const padOp = defineOp({
  doc: 'Zeros before, behind and between the elements of each axis: the transpose of slice.',
  type(inputs, attrs) {
    checkArity('pad', inputs, 1)
    const [x] = inputs
    const shape = shapeAttr('pad', attrs)
    const before = listAttr('pad', attrs, 'before', x.shape.length)
    const interior = listAttr('pad', attrs, 'interior', x.shape.length)
    if (shape.length !== x.shape.length || shape.some((d, i) => before[i] + (x.shape[i] - 1) * (interior[i] + 1) >= d)) {
      throw expected('invalid_shape', 'pad', `a shape that holds the padded ${formatShape(x.shape)}`, formatShape(shape))
    }
    return [{ shape, dtype: x.dtype }]
  },
  vjp({ node, inputs: [x], cotangents: [g] }) {
    const starts = list(node.attrs, 'before')
    const steps = list(node.attrs, 'interior').map((n) => n + 1)
    return [
      slice(
        g as Value,
        starts,
        x.shape.map((d, i) => starts[i] + (d - 1) * steps[i] + 1),
        steps,
      ),
    ]
  },
  reference([x], attrs, [y]) {
    const out = zeros(y.shape)
    const own = stridesOf(y.shape)
    const interior = list(attrs, 'interior')
    const start = list(attrs, 'before').reduce((offset, b, i) => offset + b * own[i], 0)
    walkStrided(
      x.shape,
      own.map((stride, i) => stride * (interior[i] + 1)),
      start,
      (i, offset) => {
        out.data[offset] = x.data[i]
      },
    )
    return [out]
  },
  flops: free,
  encode: (attrs) => [...list(attrs, 'before'), ...list(attrs, 'interior')],
  slice: sliceRule(([batch], { inputs: [x], outputs: [y] }) =>
    x.shape[batch as number] === y.shape[batch as number] ? [batch] : undefined,
  ),
})

const concatOp = defineOp({
  doc: 'Joins tensors along an axis.',
  type(inputs, attrs) {
    checkArity('concat', inputs, 1, 255)
    const [{ shape, dtype }] = inputs
    const axis = intAttr('concat', attrs, 'axis')
    const fits = (x: TensorType): boolean => x.dtype === dtype && x.shape.length === shape.length
    const agrees = (x: TensorType): boolean => fits(x) && x.shape.every((d, i) => i === axis || d === shape[i])
    const odd = inputs.find((x) => !agrees(x))
    if (odd || axis >= shape.length) {
      const wanted = `inputs that agree with ${dtype}${formatShape(shape)} off axis ${axis}`
      throw expected('invalid_shape', 'concat', wanted, odd ? `${odd.dtype}${formatShape(odd.shape)}` : `axis ${axis}`)
    }
    return [{ shape: shape.map((d, i) => (i === axis ? inputs.reduce((n, x) => n + x.shape[axis], 0) : d)), dtype }]
  },
  vjp({ node, inputs, cotangents: [g], needs }) {
    const axis = node.attrs.axis as number
    let from = 0
    return inputs.map((x, input) => {
      const start = from
      from += x.shape[axis]
      if (!needs[input]) return null
      const at = (edge: number, other: Shape): number[] => other.map((d, i) => (i === axis ? edge : d))
      return slice(
        g as Value,
        at(
          start,
          x.shape.map(() => 0),
        ),
        at(from, x.shape),
      )
    })
  },
  reference(inputs, attrs, [y]) {
    const axis = attrs.axis as number
    const out = zeros(y.shape)
    const outer = sizeOf(y.shape.slice(0, axis))
    const row = out.data.length / outer
    let at = 0
    for (const x of inputs) {
      const width = x.data.length / outer
      for (let i = 0; i < outer; i++) out.data.set(x.data.subarray(i * width, (i + 1) * width), i * row + at)
      at += width
    }
    return [out]
  },
  flops: free,
  encode: (attrs) => [attrs.axis as number],
  slice: sliceRule((axes, { attrs }) => (axes[0] !== attrs.axis && axes.every((a) => a === axes[0]) ? [axes[0]] : undefined)),
})

const reverseOp = defineOp({
  doc: 'Elements in reversed order along axes.',
  type(inputs, attrs) {
    checkArity('reverse', inputs, 1)
    axesAttr('reverse', attrs, inputs[0].shape.length)
    return [{ shape: inputs[0].shape, dtype: inputs[0].dtype }]
  },
  vjp: ({ node, cotangents: [g] }) => [reverse(g as Value, list(node.attrs, 'axes'))],
  reference([x], attrs) {
    const axes = list(attrs, 'axes')
    const own = stridesOf(x.shape)
    const start = axes.reduce((offset, axis) => offset + (x.shape[axis] - 1) * own[axis], 0)
    return [
      gatherStrided(
        x,
        x.shape,
        own.map((stride, i) => (axes.includes(i) ? -stride : stride)),
        start,
      ),
    ]
  },
  flops: free,
  encode: (attrs) => list(attrs, 'axes'),
  slice: sliceRule(([batch], { attrs }) => (list(attrs, 'axes').includes(batch as number) ? undefined : [batch])),
})

const copyOp = defineOp({
  doc: 'The same elements in other memory; with the attribute stopGradient a constant of differentiation.',
  type(inputs) {
    checkArity('copy', inputs, 1)
    return [{ shape: inputs[0].shape, dtype: inputs[0].dtype }]
  },
  vjp: ({ node, cotangents: [g] }) => [node.attrs.stopGradient ? null : g],
  reference: ([x]) => [x],
  flops: free,
  slice: (axes, { outputs }) => (independent(axes) ? outputs.map(() => null) : [axes[0]]),
})

export const movementOps = {
  reshape: reshapeOp,
  transpose: transposeOp,
  broadcast: broadcastOp,
  slice: sliceOp,
  pad: padOp,
  concat: concatOp,
  reverse: reverseOp,
  copy: copyOp,
} satisfies Record<string, OpDef>
