/** @file Cases of the augment ops: every kind, mixed in one batch, for both coordinate conventions. */
import { augment } from '../../src/engine/index.js'
import { emitOne } from '../../src/engine/ops/build.js'
import { between, type CaseInput, given, type OpCase } from './case.js'

const angle = 0.4
const rows: readonly (readonly number[])[] = [
  [0],
  [1, 0.3, 1, 1],
  [1, 0, 1.7, 1],
  [1, 0, 1, 0.6],
  [1, -0.2, 0.4, 1.5],
  [2, 1, -2],
  [2, -9, 0],
  [3, 1, -1, 3, 3],
  [4, 1],
  [4, 0],
  [5, Math.cos(angle), -Math.sin(angle), 0, Math.sin(angle), Math.cos(angle), 0],
  [5, 1.25, 0, 0.1, 0, 0.8, -0.2],
]

const theta: CaseInput = given(
  [rows.length, 8],
  rows.flatMap((row) => Array.from({ length: 8 }, (_, i) => Math.fround(row[i] ?? 0))),
)

const sizes = [
  { size: 'square', x: [rows.length, 5, 5, 3] },
  { size: 'oblong', x: [rows.length, 4, 6, 1] },
]

export const imageCases: readonly OpCase[] = sizes.flatMap(({ size, x }) =>
  [false, true].flatMap((alignCorners): OpCase[] => {
    const name = `${size}, alignCorners ${alignCorners}`
    const inputs = [between(x, -1, 1), theta]
    return [
      { op: 'augment', name, inputs, build: (v, t) => [augment(v, t, { alignCorners })], wrt: [0] },
      { op: 'augment_linear', name, inputs, build: (v, t) => [emitOne('augment_linear', [v, t], { alignCorners })], wrt: [0] },
      { op: 'augment_transpose', name, inputs, build: (v, t) => [emitOne('augment_transpose', [v, t], { alignCorners })], wrt: [0] },
    ]
  }),
)
