/** @file Softmax family over the last axis: max-subtracted, finite at logits of 1e4. Hard (i32) and soft (f32) targets. */

import { AludelError, expected } from '../../errors.js'
import type { Attrs, TensorType, Value } from '../graph/node.js'
import { formatShape, type Shape, sizeOf } from '../tensor/shape.js'
import { emit, emitOne } from './build.js'
import { checkArity, checkDtype, checkFloats, checkShapeIs, intAttr } from './check.js'
import { defineOp, type OpDef } from './define.js'
import { exp, mul, neg, sub } from './elementwise.js'
import { reshape } from './movement.js'
import { sum } from './reduce.js'
import { zeros } from './reference-tensor.js'
import { leadingSlice, sliceRule } from './slicing.js'
import { logSoftmaxRows, softmaxCeForward, softmaxCeGrad, softmaxCeGradGrad } from './softmax-reference.js'

/** log(softmax(x)) over the last axis. */
export const logSoftmax = (x: Value): Value => emitOne('log_softmax', [x])

/**
 * Cross-entropy and EL2N of each row: z `[…,K]`, target i32 `[…]` (class indices) or f32 `[…,K]` (any row sum T)
 * -> loss = T logsumexp(z) - <t, z> and el2n = ||softmax(z) - t||, both `[…]`. Only the loss carries a gradient.
 */
export function softmaxCe(z: Value, target: Value): { loss: Value; el2n: Value } {
  const [loss, el2n] = emit('softmax_ce', [z, target])
  return { loss, el2n }
}

/**
 * `softmaxCe` of logits that a linear layer with bias makes of features h `[…,D]`, and the norm of that layer's gradient of each row's loss,
 * `[…]`: ||softmax(z) - t|| sqrt(||h||^2 + 1), for targets that add up to 1.
 */
export function softmaxCeOfFeatures(z: Value, target: Value, features: Value): { loss: Value; el2n: Value; lastLayer: Value } {
  const [loss, el2n, lastLayer] = emit('softmax_ce', [z, target, features])
  return { loss, el2n, lastLayer }
}

/** Indices i32 `[…]` -> f32 `[…,classes]` with a 1 at each index; out of range gives zeros. */
export const oneHot = (index: Value, classes: number): Value => emitOne('one_hot', [index], { classes })

const lastAxis = (shape: Shape): Shape => shape.slice(0, -1)
/** `[…]` -> `[…,1]`, to multiply rows. */
const asColumn = (x: Value): Value => reshape(x, [...x.shape, 1])
const dotRows = (a: Value, b: Value): Value => sum(mul(a, b), { axes: [-1] })

function checkRows(op: string, x: TensorType): void {
  if (x.shape.length < 1) throw expected('invalid_shape', op, '[…,K]', formatShape(x.shape))
}

/** Returns the shape of the rows, `[…]`. */
function checkTarget(op: string, z: TensorType, target: TensorType): Shape {
  checkRows(op, z)
  checkDtype(op, z, 'f32')
  checkDtype(op, target, 'i32', 'f32')
  checkShapeIs(op, target.dtype === 'i32' ? 'class indices' : 'soft targets', target, target.dtype === 'i32' ? lastAxis(z.shape) : z.shape)
  return lastAxis(z.shape)
}

function checkFeatures(op: string, features: TensorType, rows: Shape): void {
  checkRows(op, features)
  checkDtype(op, features, 'f32')
  checkShapeIs(op, 'features', { ...features, shape: lastAxis(features.shape) }, rows)
}

/** z `[…,K]`, target and per-row inputs share their leading axes, of which one is the batch. */
const rowSlice: NonNullable<OpDef['slice']> = sliceRule((axes, node) => {
  const batch = axes[0]
  const leads = batch !== null && axes.every((a) => a === batch) && batch < node.inputs[0].shape.length - 1
  return leads ? node.outputs.map(() => batch) : undefined
})

const logSoftmaxOp = defineOp({
  doc: 'log(softmax(x)) over the last axis, max-subtracted.',
  type(inputs) {
    checkArity('log_softmax', inputs, 1)
    checkFloats('log_softmax', inputs)
    checkRows('log_softmax', inputs[0])
    return [{ shape: inputs[0].shape, dtype: inputs[0].dtype }]
  },
  vjp({ outputs: [y], cotangents: [cotangent] }) {
    const g = cotangent as Value
    return [sub(g, mul(exp(y), sum(g, { axes: [-1], keep: true })))]
  },
  reference: ([x]) => [logSoftmaxRows(x)],
  flops: ([x]) => 22 * sizeOf(x.shape),
  slice: leadingSlice(1),
})

const softmaxCeOp = defineOp({
  doc: "Cross-entropy of each row with hard or soft targets, the EL2N score of the row, and with features the norm of the last layer's gradient.",
  type(inputs) {
    checkArity('softmax_ce', inputs, 2, 3)
    const rows: TensorType = { shape: checkTarget('softmax_ce', inputs[0], inputs[1]), dtype: 'f32' }
    if (inputs.length === 2) return [rows, rows]
    checkFeatures('softmax_ce', inputs[2], rows.shape)
    return [rows, rows, rows]
  },
  vjp({ node, inputs: [z, target], cotangents: [gloss, ...gscores], needs }) {
    if (gscores.some((g) => g !== null)) {
      throw new AludelError(
        'not_differentiable',
        'softmax_ce: el2n and the norm of the gradient are scores without gradient; build them from softmax() to differentiate them',
      )
    }
    const g = gloss as Value
    const dz = needs[0] ? emitOne('softmax_ce_grad', [z, target, g]) : null
    // d loss / d t = logsumexp(z) - z.
    const dt = needs[1] ? neg(mul(asColumn(g), logSoftmax(z))) : null
    return [dz, dt, null].slice(0, node.inputs.length)
  },
  differentiable: [0, 1],
  reference: ([z, target, features]) => softmaxCeForward(z, target, features),
  flops: ([z, , features]) => 26 * sizeOf(z.shape) + (features ? 2 * sizeOf(features.shape) : 0),
  slice: rowSlice,
})

const softmaxCeGradOp = defineOp({
  doc: 'Gradient of softmax_ce with respect to its logits: g (T softmax(z) - t).',
  type(inputs) {
    checkArity('softmax_ce_grad', inputs, 3)
    const [z, target, g] = inputs
    checkDtype('softmax_ce_grad', g, 'f32')
    checkShapeIs('softmax_ce_grad', 'g', g, checkTarget('softmax_ce_grad', z, target))
    return [{ shape: z.shape, dtype: 'f32' }]
  },
  vjp({ inputs: [z, target, g], cotangents: [cotangent], needs }) {
    const u = cotangent as Value
    const [gz, gg] = needs[0] || needs[2] ? emit('softmax_ce_grad_grad', [z, target, g, u]) : [null, null]
    // T = sum t, so d <u, g (T p - t)> / d t_k = g (<u, p> - u_k).
    const soft = () => mul(asColumn(g), sub(asColumn(dotRows(u, exp(logSoftmax(z)))), u))
    return [gz, needs[1] ? soft() : null, gg]
  },
  reference: ([z, target, g]) => [softmaxCeGrad(z, target, g)],
  flops: ([z]) => 24 * sizeOf(z.shape),
  slice: rowSlice,
})

const softmaxCeGradGradOp = defineOp({
  doc: 'Gradients of <softmax_ce_grad, u> with respect to the logits and g; not differentiable again.',
  type(inputs) {
    checkArity('softmax_ce_grad_grad', inputs, 4)
    const [z, target, g, u] = inputs
    const rows = checkTarget('softmax_ce_grad_grad', z, target)
    checkDtype('softmax_ce_grad_grad', g, 'f32')
    checkDtype('softmax_ce_grad_grad', u, 'f32')
    checkShapeIs('softmax_ce_grad_grad', 'g', g, rows)
    checkShapeIs('softmax_ce_grad_grad', 'u', u, z.shape)
    return [
      { shape: z.shape, dtype: 'f32' },
      { shape: rows, dtype: 'f32' },
    ]
  },
  reference: ([z, target, g, u]) => softmaxCeGradGrad(z, target, g, u),
  flops: ([z]) => 28 * sizeOf(z.shape),
  slice: rowSlice,
})

const oneHotOp = defineOp({
  doc: 'Rows with a 1 at each index; no gradient.',
  type(inputs, attrs: Attrs) {
    checkArity('one_hot', inputs, 1)
    checkDtype('one_hot', inputs[0], 'i32')
    return [{ shape: [...inputs[0].shape, intAttr('one_hot', attrs, 'classes', 1)], dtype: 'f32' }]
  },
  reference([index], _, [y]) {
    const out = zeros(y.shape)
    const classes = y.shape[y.shape.length - 1]
    index.data.forEach((k, row) => {
      if (k >= 0 && k < classes) out.data[row * classes + k] = 1
    })
    return [out]
  },
  flops: (_, [y]) => sizeOf(y.shape),
  slice: (axes) => [axes[0]],
})

export const softmaxOps = {
  log_softmax: logSoftmaxOp,
  softmax_ce: softmaxCeOp,
  softmax_ce_grad: softmaxCeGradOp,
  softmax_ce_grad_grad: softmaxCeGradGradOp,
  one_hot: oneHotOp,
}
