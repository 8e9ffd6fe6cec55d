/** @file Cases of constants, iota and the compiler's own value ops. */
import { constant, iota, mul, opcodes, square } from '../../src/engine/index.js'
import { emit, emitOne } from '../../src/engine/ops/build.js'
import { between, type OpCase } from './case.js'

const code = (op: (typeof opcodes)[number]): number => opcodes.indexOf(op)

/** More inputs, ops, values alive at once and outputs than the compiler ever fuses: sums of pairs, then their differences from last to first. */
const longProgram = (inputs: number, pairs: number): number[] => {
  const steps: number[][] = []
  for (let k = 0; k < pairs; k++) steps.push([code('add'), inputs + k, (7 * k) % inputs, (3 * k + 5) % inputs, -1])
  let last = inputs + pairs - 1
  for (let k = pairs - 2; k >= 0; k--) {
    steps.push([code('sub'), inputs + pairs + k, last, inputs + k, -1])
    last = inputs + pairs + k
  }
  const outputs = [last, inputs, 2, last, inputs + pairs, 2]
  return [steps.length, ...steps.flat(), outputs.length, ...outputs]
}

export const structureCases: readonly OpCase[] = [
  { op: 'constant', name: 'times x', inputs: [between([2, 2], -1, 1)], build: (x) => [mul(x, constant([1, 2, 3, 4], [2, 2]))], wrt: [0] },
  { op: 'iota', name: 'wide', inputs: [], build: () => [iota([5, 13, 7], 1)], tolerance: 0 },
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
  {
    op: 'map',
    name: 'a long program',
    inputs: Array.from({ length: 40 }, (_, i) => between([[43, 31], [31], [43, 1], []][i % 4], -1, 1)),
    build: (...values) => emit('map', values, { program: longProgram(40, 100) }),
  },
  {
    op: 'map',
    name: 'a long program, float64',
    inputs: Array.from({ length: 7 }, (_, i) => between([[11, 124], [124], [11, 1]][i % 3], -1, 1, 'f64')),
    build: (...values) => emit('map', values, { program: longProgram(7, 60) }),
  },
  {
    op: 'map',
    name: 'wide, steps that hand on their results',
    inputs: [between([13, 96], -1, 1), between([96], 0.5, 1), between([13, 1], 0.5, 1), between([], 0.5, 1)],
    build: (...values) => emit('map', values, { program: longProgram(4, 6) }),
  },
  { op: 'lane_sum', name: 'three lanes', inputs: [between([3, 2, 2], -1, 1)], build: (x) => [square(emitOne('lane_sum', [x]))], wrt: [0] },
]
