/** @file Cases of the movement ops; each result is squared so that second derivatives are not all zero. */

import type { Opcode, Value } from '../../src/engine/index.js'
import * as ops from '../../src/engine/index.js'
import { between, integers, type OpCase } from './case.js'

const movement = (op: Opcode, name: string, shape: readonly number[], build: (x: Value) => Value): OpCase => ({
  op,
  name,
  inputs: [between(shape, -2, 2)],
  build: (x) => [build(x), build(ops.square(x))],
  wrt: [0],
})

/** Whole tiles and parts of tiles, long and short sides, one and several outer axes; only moved. */
const wide = (
  op: Opcode,
  name: string,
  shape: readonly number[],
  build: (x: Value) => Value,
  dtype: 'f32' | 'f64' | 'u8' = 'f32',
): OpCase => ({
  op,
  name: `${name}, ${dtype}`,
  inputs: [dtype === 'u8' ? integers(shape, 256, 'u8') : between(shape, -2, 2, dtype)],
  build: (x) => [build(x)],
  tolerance: 0,
})

const integral = (op: Opcode, shape: readonly number[], build: (x: Value) => Value): OpCase => ({
  op,
  name: 'u8',
  inputs: [integers(shape, 256, 'u8')],
  build: (x) => [build(x)],
  tolerance: 0,
})

export const movementCases: readonly OpCase[] = [
  movement('reshape', 'merge and split', [2, 3, 4], (x) => ops.reshape(x, [4, -1])),
  movement('reshape', 'to a scalar', [1, 1], (x) => ops.reshape(x, [])),
  movement('transpose', 'matrix', [3, 4], (x) => ops.transpose(x, [1, 0])),
  movement('transpose', 'NHWC to NCHW', [2, 3, 4, 5], (x) => ops.transpose(x, [0, 3, 1, 2])),
  movement('transpose', 'swap leading axes', [3, 2, 4], (x) => ops.transpose(x, [1, 0, 2])),
  movement('broadcast', 'expand and lead', [3, 1, 2], (x) => ops.broadcast(x, [4, 3, 5, 2])),
  movement('broadcast', 'scalar', [], (x) => ops.broadcast(x, [2, 3])),
  movement('slice', 'window', [5, 6], (x) => ops.slice(x, [1, 2], [4, 5])),
  movement('slice', 'steps', [7, 6], (x) => ops.slice(x, [1, 0], [7, 6], [2, 4])),
  movement('pad', 'around', [2, 3], (x) => ops.pad(x, { before: [1, 0], after: [2, 1] })),
  movement('pad', 'in between', [3, 3], (x) => ops.pad(x, { before: [1, 0], interior: [1, 2], after: [0, 1] })),
  movement('concat', 'with itself and its square', [2, 3], (x) => ops.concat([x, ops.square(x), x], 1)),
  movement('concat', 'first axis', [2, 3], (x) => ops.concat([x, ops.slice(x, [1, 0])], 0)),
  movement('reverse', 'both axes', [3, 4], (x) => ops.reverse(x, [0, 1])),
  movement('reverse', 'middle axis', [2, 3, 2], (x) => ops.reverse(x, [1])),
  movement('copy', 'plain', [3, 2], ops.copy),
  ...(['f32', 'f64', 'u8'] as const).flatMap((dtype) => [
    wide('transpose', 'tiles', [71, 133], (x) => ops.transpose(x, [1, 0]), dtype),
    wide('transpose', 'batches of tiles', [3, 37, 2, 45], (x) => ops.transpose(x, [2, 3, 0, 1]), dtype),
    wide('transpose', 'few channels last', [2, 19, 31, 3], (x) => ops.transpose(x, [0, 3, 1, 2]), dtype),
    wide('transpose', 'few channels first', [2, 3, 19, 31], (x) => ops.transpose(x, [0, 2, 3, 1]), dtype),
    wide('slice', 'whole words', [9, 7, 32], (x) => ops.slice(x, [1, 2, 16], [8, 7, 32]), dtype),
    wide('pad', 'pixels', [2, 9, 7, 16], (x) => ops.pad(x, { before: [0, 1, 2, 0], after: [0, 2, 1, 0] }), dtype),
    wide(
      'pad',
      'pixels, in between',
      [2, 9, 7, 3],
      (x) => ops.pad(x, { before: [0, 1, 0, 0], interior: [0, 1, 2, 0], after: [0, 2, 1, 0] }),
      dtype,
    ),
  ]),
  wide('pad', 'channels', [11, 13, 5], (x) => ops.pad(x, { before: [0, 0, 3], after: [0, 0, 4] })),
  wide('concat', 'whole words', [13, 3, 16], (x) => ops.concat([x, ops.slice(x, [0, 1, 0]), x], 1)),
  wide('broadcast', 'inner, outer and between', [7, 1, 9, 1], (x) => ops.broadcast(x, [3, 7, 5, 9, 4])),
  wide('reverse', 'columns', [5, 61, 8], (x) => ops.reverse(x, [1])),
  wide('reverse', 'channels', [5, 61, 3], (x) => ops.reverse(x, [0, 2])),
  wide('copy', 'odd', [1201], ops.copy),
  integral('transpose', [4, 6], (x) => ops.transpose(x, [1, 0])),
  integral('slice', [5, 6], (x) => ops.slice(x, [1, 0], [5, 6], [2, 1])),
  integral('concat', [2, 3], (x) => ops.concat([x, x], 0)),
]
