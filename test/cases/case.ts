/** @file The op case table: one entry drives derivative checks in float64 and the comparison of a device with the reference. */
import type { DType, Opcode, RefTensor, Shape, Value } from '../../src/engine/index.js'
import { fold, keyOf, sizeOf, uniform } from '../../src/engine/index.js'

/** How an input is filled; always the same numbers for the same case, all exact in the input's dtype. */
export interface CaseInput {
  readonly shape: Shape
  readonly dtype: DType
  readonly fill: (length: number, draw: (purpose: number) => Float64Array) => ArrayLike<number>
}

export interface OpCase {
  readonly op: Opcode
  /** Unique together with `op`. */
  readonly name: string
  readonly inputs: readonly CaseInput[]
  readonly build: (...values: Value[]) => readonly Value[]
  /** Inputs to differentiate (default: none). */
  readonly wrt?: readonly number[]
  /** Whether second derivatives exist (default: true). */
  readonly second?: boolean
  /** Largest error of a float32 device over the largest magnitude of the reference (default 1e-5; 0 = equal). */
  readonly tolerance?: number
}

/** Uniform in [low, high). */
export const between = (shape: Shape, low: number, high: number, dtype: DType = 'f32'): CaseInput => ({
  shape,
  dtype,
  fill: (_, draw) => draw(0).map((u) => Math.fround(low + (high - low) * u)),
})

/** Magnitudes in [least, most) with random sign: keeps clear of a kink or pole at 0. */
export const awayFromZero = (shape: Shape, least: number, most: number, dtype: DType = 'f32'): CaseInput => ({
  shape,
  dtype,
  fill(_, draw) {
    const signs = draw(1)
    return draw(0).map((u, i) => Math.fround((least + (most - least) * u) * (signs[i] < 0.5 ? -1 : 1)))
  },
})

/** Distinct values with gaps far above the difference step, in random order: no ties, and small steps change no maximum. */
export const distinct = (shape: Shape, gap = 0.125): CaseInput => ({
  shape,
  dtype: 'f32',
  fill: (length, draw) => permutationOf(length, draw(0)).map((i) => (i - length / 2) * gap),
})

const permutationOf = (length: number, keys: Float64Array): number[] =>
  Array.from({ length }, (_, i) => i).sort((a, b) => keys[a] - keys[b] || a - b)

/** Whole numbers in [0, below). */
export const integers = (shape: Shape, below: number, dtype: DType = 'i32'): CaseInput => ({
  shape,
  dtype,
  fill: (_, draw) => draw(0).map((u) => Math.floor(u * below)),
})

/** Given numbers. */
export const given = (shape: Shape, data: readonly number[], dtype: DType = 'f32'): CaseInput => ({ shape, dtype, fill: () => data })

/** The tensors of a case. */
export function caseInputs({ op, name, inputs }: OpCase): RefTensor[] {
  return inputs.map(({ shape, fill }, input) => {
    const length = sizeOf(shape)
    const key = fold(keyOf(1), op, name, input)
    return { shape, data: Float64Array.from(fill(length, (purpose) => uniform(key, 0, purpose, length))) }
  })
}

export const caseTitle = ({ op, name }: OpCase): string => `${op}: ${name}`
