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
  integral('transpose', [4, 6], (x) => ops.transpose(x, [1, 0])),
  integral('slice', [5, 6], (x) => ops.slice(x, [1, 0], [5, 6], [2, 1])),
  integral('concat', [2, 3], (x) => ops.concat([x, x], 0)),
]
