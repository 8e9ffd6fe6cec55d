/** @file Typed access to the fields of a case's JSON: a missing or misshapen field is an error that names file and path. */
import { AludelError } from '../errors.js'
import type { GoldenCase } from './case-file.js'
import { type GoldenTensor, tensorFromJson } from './tensor.js'

type Path = readonly (string | number)[]

const nameOf = (golden: GoldenCase, path: Path): string => `${golden.name}: ${path.join('.')}`

/** The value at `path`, or undefined. */
export function fieldAt(golden: GoldenCase, ...path: Path): unknown {
  let value: unknown = golden.json
  for (const key of path) value = typeof value === 'object' && value !== null ? (value as Record<string | number, unknown>)[key] : undefined
  return value
}

export function numberAt(golden: GoldenCase, ...path: Path): number {
  const value = fieldAt(golden, ...path)
  if (typeof value !== 'number')
    throw new AludelError('invalid_data', `${nameOf(golden, path)}: expected a number but received ${typeof value}`)
  return value
}

export function listAt(golden: GoldenCase, ...path: Path): readonly unknown[] {
  const value = fieldAt(golden, ...path)
  if (!Array.isArray(value)) throw new AludelError('invalid_data', `${nameOf(golden, path)}: expected a list but received ${typeof value}`)
  return value
}

/** A tensor of known rank. */
export function tensorAt(golden: GoldenCase, rank: number, ...path: Path): GoldenTensor {
  const tensor = tensorFromJson(nameOf(golden, path), fieldAt(golden, ...path))
  if (tensor.shape.length !== rank)
    throw new AludelError('invalid_data', `${nameOf(golden, path)}: expected ${rank} dimensions but received ${tensor.shape.length}`)
  return tensor
}

export const scalarTensor = (value: number): GoldenTensor => ({ shape: [], data: Float64Array.of(value) })
