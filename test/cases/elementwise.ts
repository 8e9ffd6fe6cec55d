/** @file Cases of the elementwise ops. */

import type { Opcode, Value } from '../../src/engine/index.js'
import * as ops from '../../src/engine/index.js'
import { awayFromZero, between, type CaseInput, given, integers, type OpCase } from './case.js'

const shape = [3, 5]

const unary = (op: Opcode, build: (x: Value) => Value, input: CaseInput, wrt: readonly number[] = [0], tolerance = 1e-5): OpCase => ({
  op,
  name: 'plain',
  inputs: [input],
  build: (x) => [build(x)],
  wrt,
  tolerance,
})

const unaryCases: readonly OpCase[] = [
  unary('neg', ops.neg, between(shape, -2, 2), [0], 0),
  unary('abs', ops.abs, awayFromZero(shape, 0.1, 2), [0], 0),
  unary('sign', ops.sign, awayFromZero(shape, 0.1, 2), [], 0),
  unary('exp', ops.exp, between(shape, -3, 3)),
  unary('log', ops.log, between(shape, 0.2, 4)),
  unary('sqrt', ops.sqrt, between(shape, 0.2, 4)),
  unary('rsqrt', ops.rsqrt, between(shape, 0.2, 4)),
  unary('reciprocal', ops.reciprocal, awayFromZero(shape, 0.3, 2)),
  unary('square', ops.square, between(shape, -2, 2)),
  unary('tanh', ops.tanh, between(shape, -3, 3)),
  unary('sigmoid', ops.sigmoid, between(shape, -4, 4)),
  unary('relu', ops.relu, awayFromZero(shape, 0.1, 2), [0], 0),
  unary('floor', ops.floor, awayFromZero(shape, 0.1, 0.9), [0], 0),
  unary('sin', ops.sin, between(shape, -4, 4)),
  unary('cos', ops.cos, between(shape, -4, 4)),
  unary('erf', ops.erf, between(shape, -3, 3)),
  unary('is_finite', ops.isFiniteMask, given([4], [1, Number.POSITIVE_INFINITY, Number.NaN, -3]), [], 0),
]

type Build = (a: Value, b: Value) => Value
const binary = (op: Opcode, name: string, build: Build, a: CaseInput, b: CaseInput, wrt: readonly number[] = [0, 1]): OpCase => ({
  op,
  name,
  inputs: [a, b],
  build: (x, y) => [build(x, y)],
  wrt,
})

/** More than one block of a GPU, the last one partly filled: in groups of 16 bytes, and of shapes that allow none. */
const wide: readonly OpCase[] = [
  {
    op: 'sub',
    name: 'wide',
    inputs: [between([5, 53, 8], -2, 2), between([5, 53, 8], -2, 2)],
    build: (a, b) => [ops.sub(a, b)],
    tolerance: 0,
  },
  { op: 'add', name: 'wide, odd', inputs: [between([1201], -2, 2), between([], -2, 2)], build: (a, b) => [ops.add(a, b)] },
  { op: 'mul', name: 'wide rows', inputs: [between([9, 33, 4], -2, 2), between([9, 1, 4], -2, 2)], build: (a, b) => [ops.mul(a, b)] },
  { op: 'div', name: 'wide columns', inputs: [between([7, 41, 12], -2, 2), between([41, 1], 1, 2)], build: (a, b) => [ops.div(a, b)] },
  {
    op: 'maximum',
    name: 'wide, 3 channels',
    inputs: [between([7, 29, 7, 3], -2, 2), between([3], -2, 2)],
    build: (a, b) => [ops.maximum(a, b)],
  },
  {
    op: 'select',
    name: 'wide, all broadcast',
    inputs: [integers([1, 11, 1, 3], 2, 'f32'), between([13, 1, 5, 1], -2, 2), between([11, 5, 1], -2, 2)],
    build: (c, a, b) => [ops.select(c, a, b)],
    tolerance: 0,
  },
  {
    op: 'add',
    name: 'wide float64',
    inputs: [between([3, 5, 82], -2, 2, 'f64'), between([5, 1], -2, 2, 'f64')],
    build: (a, b) => [ops.add(a, b)],
  },
]

const arithmetic = [
  ['add', ops.add],
  ['sub', ops.sub],
  ['mul', ops.mul],
  ['div', ops.div],
] as const

const binaryCases: readonly OpCase[] = [
  ...arithmetic.flatMap(([op, build]) => [
    binary(op, 'equal shapes', build, between(shape, -2, 2), awayFromZero(shape, 0.5, 2)),
    binary(op, 'both broadcast', build, between([4, 1, 3], -2, 2), awayFromZero([2, 1], 0.5, 2)),
    binary(op, 'with a scalar', build, between(shape, -2, 2), awayFromZero([], 0.5, 2)),
    binary(op, 'float64', build, between(shape, -2, 2, 'f64'), awayFromZero([5], 0.5, 2, 'f64')),
  ]),
  binary('mul', 'a value with itself', (a, b) => ops.add(ops.mul(a, a), b), between(shape, -2, 2), between(shape, -2, 2)),
  binary('pow', 'positive base', ops.pow, between(shape, 0.3, 2), between([5], -2, 3)),
  ...[0, 1, 2, 3, 4, -1].map((exponent) =>
    binary('pow', `exponent ${exponent}`, (a, b) => ops.add(ops.pow(a, exponent), b), awayFromZero(shape, 0.4, 1.5), between([5], -1, 1)),
  ),
  binary('maximum', 'plain', ops.maximum, between(shape, -2, 2), between([5], -2, 2)),
  binary('minimum', 'plain', ops.minimum, between(shape, -2, 2), between([3, 1], -2, 2)),
  binary('greater', 'plain', ops.greater, integers(shape, 3, 'f32'), integers(shape, 3, 'f32'), []),
  binary('greater_equal', 'plain', ops.greaterEqual, integers(shape, 3, 'f32'), integers(shape, 3, 'f32'), []),
  binary('equal', 'plain', ops.equal, integers(shape, 3, 'f32'), integers([1, 5], 3, 'f32'), []),
]

export const elementwiseCases: readonly OpCase[] = [
  ...unaryCases,
  ...binaryCases,
  ...wide,
  {
    op: 'select',
    name: 'broadcast condition',
    inputs: [integers([3, 1], 2, 'f32'), between(shape, -2, 2), between([5], -2, 2)],
    build: (c, a, b) => [ops.mul(ops.select(c, a, b), a)],
    wrt: [1, 2],
  },
  { op: 'cast', name: 'f32 to f64', inputs: [between(shape, -2, 2)], build: (x) => [ops.square(ops.cast(x, 'f64'))], wrt: [0] },
  { op: 'cast', name: 'f64 to f32', inputs: [between(shape, -2, 2, 'f64')], build: (x) => [ops.cast(ops.square(x), 'f32')], wrt: [0] },
  { op: 'cast', name: 'f32 to i32', inputs: [between(shape, -9, 9)], build: (x) => [ops.cast(x, 'i32')], tolerance: 0 },
  { op: 'cast', name: 'u8 to f32', inputs: [integers(shape, 256, 'u8')], build: (x) => [ops.cast(x, 'f32')], tolerance: 0 },
  { op: 'cast', name: 'u8 to f32, wide', inputs: [integers([1201], 256, 'u8')], build: (x) => [ops.cast(x, 'f32')], tolerance: 0 },
  { op: 'cast', name: 'f32 to u8', inputs: [between([131], -40, 300)], build: (x) => [ops.cast(x, 'u8')], tolerance: 0 },
  { op: 'cast', name: 'f64 to u32', inputs: [between([131], -1e9, 5e9, 'f64')], build: (x) => [ops.cast(x, 'u32')], tolerance: 0 },
  { op: 'cast', name: 'i32 to f32', inputs: [integers(shape, 1000)], build: (x) => [ops.cast(x, 'f32')], tolerance: 0 },
]
