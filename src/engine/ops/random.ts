/** @file Counter-based draws: the bits are a function of (key, counter, purpose, element) and of nothing else. */
import { expected } from '../../errors.js'
import type { Value } from '../graph/node.js'
import { normal, permutation, uniform } from '../tensor/philox.js'
import { formatShape, type Shape, sizeOf } from '../tensor/shape.js'
import { emitOne } from './build.js'
import { checkArity, checkDtype, checkShapeIs, intAttr, shapeAttr } from './check.js'
import { defineOp, type OpDef } from './define.js'

/** Uniform in [0, 1), f32. key u32 `[2]`, counter u32 `[1]` (for example the step), `purpose` as in tensor/key. */
export const randomUniform = (key: Value, counter: Value, shape: Shape, purpose: number): Value =>
  emitOne('random_uniform', [key, counter], { shape, purpose })
/** Standard normal, f32. */
export const randomNormal = (key: Value, counter: Value, shape: Shape, purpose: number): Value =>
  emitOne('random_normal', [key, counter], { shape, purpose })
/** A random order of 0..length-1, i32 `[length]`. */
export const randomPermutation = (key: Value, counter: Value, length: number, purpose: number): Value =>
  emitOne('random_permutation', [key, counter], { shape: [length], purpose })

type Draw = (key: readonly [number, number], counter: number, purpose: number, length: number) => ArrayLike<number>

function randomOp(op: string, dtype: 'f32' | 'i32', draw: Draw, doc: string, cost: number): OpDef {
  return defineOp({
    doc,
    type(inputs, attrs) {
      checkArity(op, inputs, 2)
      const [key, counter] = inputs
      checkDtype(op, key, 'u32')
      checkDtype(op, counter, 'u32')
      checkShapeIs(op, 'key', key, [2])
      checkShapeIs(op, 'counter', counter, [1])
      intAttr(op, attrs, 'purpose')
      const shape = shapeAttr(op, attrs)
      if (dtype === 'i32' && shape.length !== 1) throw expected('invalid_shape', op, 'shape [n]', formatShape(shape))
      return [{ shape, dtype }]
    },
    reference([key, counter], attrs, [y]) {
      const drawn = draw([key.data[0], key.data[1]], counter.data[0], attrs.purpose as number, sizeOf(y.shape))
      return [{ shape: y.shape, data: Float64Array.from(drawn) }]
    },
    flops: (_, [y]) => cost * sizeOf(y.shape),
    encode: (attrs) => [attrs.purpose as number],
  })
}

export const randomOps = {
  random_uniform: randomOp('random_uniform', 'f32', uniform, 'Uniform draws in [0, 1).', 30),
  random_normal: randomOp('random_normal', 'f32', normal, 'Standard normal draws by Box-Muller.', 60),
  random_permutation: randomOp('random_permutation', 'i32', permutation, 'A random order of 0..n-1.', 60),
}
