/** @file Images: uint8 rows to normalised floats, and differentiable augmentation as one affine map per image. */
import { checkOptions } from '../../arguments.js'
import type { Value } from '../graph/node.js'
import { sizeOf } from '../tensor/shape.js'
import { type AugmentMode, augmentReference } from './augment-reference.js'
import { emitOne } from './build.js'
import { checkArity, checkDtype, checkRank, checkShapeIs } from './check.js'
import { defineOp, type OpDef } from './define.js'
import { checkIndex, rowAt } from './gather.js'
import type { Opcode } from './opcodes.js'
import { zeros } from './reference-tensor.js'
import { tableSlice } from './slicing.js'

/** Rows of uint8 images as floats: u8 `[R,H,W,C]`, index i32 `[M]`, scale and shift f32 `[C]` -> u8 * scale + shift, f32 `[M,H,W,C]`. */
export const imageGather = (images: Value, index: Value, scale: Value, shift: Value): Value =>
  emitOne('image_gather', [images, index, scale, shift])

export interface AugmentOptions {
  /** Affine coordinates put -1 and 1 on the centres of the border pixels (default: on their edges). */
  readonly alignCorners?: boolean
}

/** Augments x f32 `[N,H,W,C]` by one operation per image, theta f32 `[N,8]` = [kind, p0..p6]; differentiable in x. */
export function augment(x: Value, theta: Value, options: AugmentOptions = {}): Value {
  checkOptions('augment', options, { alignCorners: true })
  const { alignCorners = false } = options
  return emitOne('augment', [x, theta], { alignCorners })
}

const imageGatherOp = defineOp({
  doc: 'Rows of uint8 images by index, scaled and shifted per channel.',
  type(inputs) {
    const op = 'image_gather'
    checkArity(op, inputs, 4)
    const [images, index, scale, shift] = inputs
    checkDtype(op, images, 'u8')
    checkRank(op, 'images', images, 4, '[R,H,W,C]')
    checkIndex(op, index)
    for (const [name, input] of [
      ['scale', scale],
      ['shift', shift],
    ] as const) {
      checkDtype(op, input, 'f32')
      checkShapeIs(op, name, input, [images.shape[3]])
    }
    return [{ shape: [index.shape[0], ...images.shape.slice(1)], dtype: 'f32' }]
  },
  reference([images, index, scale, shift], _, [y]) {
    const out = zeros(y.shape)
    const [rows, size, channels] = [y.shape[0], sizeOf(y.shape.slice(1)), y.shape[3]]
    for (let i = 0; i < rows; i++) {
      const from = rowAt('image_gather', index, i, images.shape[0]) * size
      for (let k = 0; k < size; k++) out.data[i * size + k] = images.data[from + k] * scale.data[k % channels] + shift.data[k % channels]
    }
    return [out]
  },
  flops: (_, [y]) => 2 * sizeOf(y.shape),
  slice: tableSlice([{ in: [null, 0, null, null], out: [0] }]),
})

function augmentOp(op: Opcode, mode: AugmentMode, adjoint: Opcode, doc: string): OpDef {
  return defineOp({
    doc,
    type(inputs) {
      checkArity(op, inputs, 2)
      const [x, theta] = inputs
      checkDtype(op, x, 'f32')
      checkDtype(op, theta, 'f32')
      checkRank(op, 'x', x, 4, '[N,H,W,C]')
      checkShapeIs(op, 'theta', theta, [x.shape[0], 8])
      return [{ shape: x.shape, dtype: 'f32' }]
    },
    differentiable: [0],
    vjp: ({ node, inputs: [, theta], cotangents: [g] }) => [emitOne(adjoint, [g as Value, theta], node.attrs), null],
    reference: ([x, theta], attrs) => [augmentReference(x, theta, attrs.alignCorners === true, mode)],
    flops: ([x]) => 8 * sizeOf(x.shape),
    encode: (attrs) => [attrs.alignCorners === true ? 1 : 0],
    slice: tableSlice([{ in: [0, 0], out: [0] }]),
  })
}

export const imageOps = {
  image_gather: imageGatherOp,
  augment: augmentOp('augment', 'augment', 'augment_transpose', 'One augmentation per image: y = A(theta) x + delta(theta).'),
  augment_linear: augmentOp('augment_linear', 'linear', 'augment_transpose', 'The linear part of augment: A(theta) x.'),
  augment_transpose: augmentOp('augment_transpose', 'transpose', 'augment_linear', 'The adjoint of augment: A(theta)^T g.'),
}
