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

const theta = (chosen: readonly (readonly number[])[]): CaseInput =>
  given(
    [chosen.length, 8],
    chosen.flatMap((row) => Array.from({ length: 8 }, (_, i) => Math.fround(row[i] ?? 0))),
  )

const small = [false, true].flatMap((alignCorners) => [
  { size: 'square', chosen: rows, image: [5, 5, 3], alignCorners },
  { size: 'oblong', chosen: rows, image: [4, 6, 1], alignCorners },
])
/** A GPU makes images of more than 16384 numbers by several blocks, which need one another's sums. */
const large = { size: 'several blocks', chosen: [rows[4], rows[7], rows[8], rows[11]], image: [75, 74, 3], alignCorners: false }

export const imageCases: readonly OpCase[] = [...small, large].flatMap(({ size, chosen, image, alignCorners }): OpCase[] => {
  const name = `${size}, alignCorners ${alignCorners}`
  const inputs = [between([chosen.length, ...image], -1, 1), theta(chosen)]
  return [
    { op: 'augment', name, inputs, build: (v, t) => [augment(v, t, { alignCorners })], wrt: [0] },
    { op: 'augment_linear', name, inputs, build: (v, t) => [emitOne('augment_linear', [v, t], { alignCorners })], wrt: [0] },
    { op: 'augment_transpose', name, inputs, build: (v, t) => [emitOne('augment_transpose', [v, t], { alignCorners })], wrt: [0] },
  ]
})
