/** @file Matrices of lists of rows, and rows of small whole numbers, among which many distances are equal. */
import { fold, keyOf } from '../../../src/engine/tensor/key.js'
import { randomBits } from '../../../src/engine/tensor/philox.js'
import type { Matrix } from '../../../src/scores/matrix.js'

export const matrixOf = (rows: readonly (readonly number[])[]): Matrix => ({
  data: Float64Array.from(rows.flat()),
  shape: [rows.length, rows[0].length],
})

/** Whole numbers in [0, 4): exact in every sum, and full of ties. */
export const gridMatrix = (rows: number, width: number, seed: number): Matrix => ({
  data: Float64Array.from(randomBits(fold(keyOf(seed), 'grid'), 0, 0, rows * width), (bits) => bits % 4),
  shape: [rows, width],
})

/** Numbers in (-1, 1). */
export const randomMatrix = (rows: number, width: number, seed: number): Matrix => ({
  data: Float64Array.from(randomBits(fold(keyOf(seed), 'random'), 0, 0, rows * width), (bits) => bits / 2 ** 31 - 1),
  shape: [rows, width],
})

export const rowsOf = ({ data, shape: [rows, width] }: Matrix): number[][] =>
  Array.from({ length: rows }, (_, row) => [...data.subarray(row * width, (row + 1) * width)])

export const distance = (a: readonly number[], b: readonly number[]): number => Math.sqrt(a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0))
