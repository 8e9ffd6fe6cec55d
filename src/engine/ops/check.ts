/** @file Checks and attribute readers that the type rules share; each error names its op. */
import { expected } from '../../errors.js'
import type { Attrs, TensorType } from '../graph/node.js'
import type { DType } from '../tensor/dtype.js'
import { checkShape, formatShape, type Shape, sameShape } from '../tensor/shape.js'

export const isFloat = (dtype: DType): boolean => dtype === 'f32' || dtype === 'f64'

/** Number of inputs within [least, most]. */
export function checkArity(op: string, inputs: readonly unknown[], least: number, most = least): void {
  if (inputs.length < least || inputs.length > most) {
    throw expected('invalid_data', op, least === most ? `${least} inputs` : `${least} to ${most} inputs`, inputs.length)
  }
}

export function checkDtype(op: string, input: TensorType, ...allowed: readonly DType[]): void {
  if (!allowed.includes(input.dtype)) {
    throw expected('invalid_dtype', op, allowed.join(' or '), input.dtype, 'convert it with cast()')
  }
}

/** All inputs have one floating dtype. */
export function checkFloats(op: string, inputs: readonly TensorType[]): void {
  for (const input of inputs) {
    checkDtype(op, input, 'f32', 'f64')
    if (input.dtype !== inputs[0].dtype) {
      throw expected('invalid_dtype', op, `all inputs of dtype ${inputs[0].dtype}`, input.dtype, 'convert it with cast()')
    }
  }
}

export function checkShapeIs(op: string, name: string, input: TensorType, shape: Shape): void {
  if (!sameShape(input.shape, shape))
    throw expected('invalid_shape', op, `${name} of shape ${formatShape(shape)}`, formatShape(input.shape))
}

export function checkRank(op: string, name: string, input: TensorType, rank: number, layout: string): void {
  if (input.shape.length !== rank) throw expected('invalid_shape', op, `${name} of layout ${layout}`, formatShape(input.shape))
}

/** A whole-number attribute, at least `least`. */
export function intAttr(op: string, attrs: Attrs, name: string, least = 0, fallback?: number): number {
  const value = attrs[name] ?? fallback
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least) {
    throw expected('invalid_option', op, `${name} to be a whole number >= ${least}`, value)
  }
  return value
}

export function numberAttr(op: string, attrs: Attrs, name: string): number {
  const value = attrs[name]
  if (typeof value !== 'number' || !Number.isFinite(value)) throw expected('invalid_option', op, `${name} to be a finite number`, value)
  return value
}

/** A list attribute of whole numbers >= least, of `length` elements when given. */
export function listAttr(op: string, attrs: Attrs, name: string, length?: number, least = 0): readonly number[] {
  const value = attrs[name]
  const isList = Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= least)
  if (!isList || (length !== undefined && value.length !== length)) {
    const count = length === undefined ? 'a list' : `${length} entries`
    throw expected('invalid_option', op, `${name} to be ${count} of whole numbers >= ${least}`, JSON.stringify(value))
  }
  return value as readonly number[]
}

/** Throws `invalid_option` unless `value` is a list of whole numbers, of `length` entries when given. */
export function checkWholeList(op: string, name: string, value: unknown, length?: number): void {
  const isList = Array.isArray(value) && [...value].every(Number.isSafeInteger)
  if (isList && (length === undefined || value.length === length)) return
  throw expected('invalid_option', op, `${name} to be ${length === undefined ? 'a list' : `${length} entries`} of whole numbers`, value)
}

/** Distinct axes in ascending order. */
export function axesAttr(op: string, attrs: Attrs, rank: number): readonly number[] {
  const axes = listAttr(op, attrs, 'axes')
  if (axes.some((a, i) => a >= rank || (i > 0 && a <= axes[i - 1]))) {
    throw expected('invalid_shape', op, `ascending axes below rank ${rank}`, JSON.stringify(axes))
  }
  return axes
}

/** The `shape` attribute of ops whose output shape is given. */
export function shapeAttr(op: string, attrs: Attrs): Shape {
  checkShape(op, attrs.shape as Shape)
  return attrs.shape as Shape
}
