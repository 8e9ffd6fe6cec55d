/** @file Tensors of golden files: float64 numbers (integers exact) with a shape, and the check that a JSON value is one. */

import { type Shape, sizeOf } from '../engine/tensor/shape.js'
import { AludelError } from '../errors.js'

export interface GoldenTensor {
  readonly shape: Shape
  readonly data: Float64Array
}

const isShape = (shape: unknown): shape is number[] =>
  Array.isArray(shape) && shape.length <= 8 && shape.every((d) => Number.isSafeInteger(d) && d >= 0)

/** True for `{ shape, data }` objects, whatever is in them. */
export const looksLikeTensor = (value: unknown): value is { shape: unknown; data: unknown } =>
  typeof value === 'object' && value !== null && 'shape' in value && 'data' in value

/** Checks a parsed JSON value; `what` names file and key in the error. */
export function tensorFromJson(what: string, value: unknown): GoldenTensor {
  if (!looksLikeTensor(value) || !isShape(value.shape) || !Array.isArray(value.data)) {
    throw new AludelError(
      'invalid_data',
      `${what}: expected { "shape": [...], "data": [...] } but received ${JSON.stringify(value)?.slice(0, 60)}`,
    )
  }
  const flat = (value.data as unknown[]).flat(Number.POSITIVE_INFINITY)
  if (flat.length !== sizeOf(value.shape)) {
    throw new AludelError(
      'invalid_data',
      `${what}: expected ${sizeOf(value.shape)} numbers for shape [${value.shape}] but received ${flat.length}`,
    )
  }
  if (!flat.every((x) => typeof x === 'number')) throw new AludelError('invalid_data', `${what}: expected numbers only`)
  return { shape: value.shape, data: Float64Array.from(flat as number[]) }
}

export const sameTensor = (a: GoldenTensor, b: GoldenTensor): boolean =>
  a.shape.length === b.shape.length && a.shape.every((d, i) => d === b.shape[i]) && a.data.every((x, i) => Object.is(x, b.data[i]))
