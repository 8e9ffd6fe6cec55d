/** @file Cases of constants, iota and the compiler's own value ops. */
import { constant, iota, mul, opcodes, square } from '../../src/engine/index.js'
import { emit, emitOne } from '../../src/engine/ops/build.js'
import { between, type OpCase } from './case.js'

const code = (op: (typeof opcodes)[number]): number => opcodes.indexOf(op)

export const structureCases: readonly OpCase[] = [
  { op: 'constant', name: 'times x', inputs: [between([2, 2], -1, 1)], build: (x) => [mul(x, constant([1, 2, 3, 4], [2, 2]))], wrt: [0] },
  { op: 'iota', name: 'middle axis', inputs: [], build: () => [iota([2, 3, 2], 1)], tolerance: 0 },
  {
    op: 'map',
    name: 'two outputs, broadcast input',
    inputs: [between([3, 4], -1, 1), between([4], 0.5, 1)],
    build: (a, b) =>
      emit('map', [a, b], {
        program: [3, code('mul'), 2, 0, 1, -1, code('relu'), 3, 2, -1, -1, code('select'), 4, 3, 0, 1, 2, 2, 4],
      }),
  },
  { op: 'lane_sum', name: 'three lanes', inputs: [between([3, 2, 2], -1, 1)], build: (x) => [square(emitOne('lane_sum', [x]))], wrt: [0] },
]
