/** @file Centred one-hot rows, the targets of kernel ridge regression on classes: 1 - 1/k for the class, -1/k for others. */
import { oneHot, sub, type Value } from '../../engine/index.js'

/** Of classes i32 [rows], f32 [rows, k]. */
export const centred = (classes: Value, k: number): Value => sub(oneHot(classes, k), 1 / k)

/** The same on the host, [rows, k]. */
export function centredRows(classes: Int32Array, k: number): Float32Array {
  const rows = new Float32Array(classes.length * k).fill(-1 / k)
  for (const [row, label] of classes.entries()) rows[row * k + label] = 1 - 1 / k
  return rows
}
