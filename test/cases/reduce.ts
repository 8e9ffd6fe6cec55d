/** @file Cases of the reductions and of the composite functions over them. */

import type { Value } from '../../src/engine/index.js'
import * as ops from '../../src/engine/index.js'
import { between, distinct, given, integers, type OpCase } from './case.js'

const sum = (name: string, shape: readonly number[], axes: readonly number[], keep = false): OpCase => ({
  op: 'sum',
  name,
  inputs: [between(shape, -1, 2)],
  build: (x) => [ops.square(ops.sum(x, { axes, keep }))],
  wrt: [0],
})

const composite = (name: string, build: (x: Value) => Value, shape: readonly number[] = [4, 3]): OpCase => ({
  op: 'sum',
  name,
  inputs: [between(shape, -1.5, 2)],
  build: (x) => [build(x)],
  wrt: [0],
})

const powerSums = (name: string, shape: readonly number[], power: number): OpCase => ({
  op: 'power_sums',
  name,
  inputs: [between(shape, -1, 1.5)],
  build(x) {
    const { positions, channels } = ops.powerSums(x, power)
    return [ops.square(positions), ops.exp(channels)]
  },
  wrt: [0],
})

export const reduceCases: readonly OpCase[] = [
  powerSums('first power', [2, 3, 4, 5], 1),
  powerSums('second power', [1, 2, 3, 3, 9], 2),
  powerSums('third power, one channel', [2, 2, 5, 1], 3),
  powerSums('fourth power', [2, 2, 3, 19], 4),
  {
    op: 'power_sums',
    name: 'positions only',
    inputs: [between([2, 3, 2, 4], -1, 1)],
    build: (x) => [ops.square(ops.powerSums(x, 4).positions)],
    wrt: [0],
  },
  {
    op: 'power_sums',
    name: 'channels only',
    inputs: [between([2, 3, 2, 4], -1, 1)],
    build: (x) => [ops.square(ops.powerSums(x, 3).channels)],
    wrt: [0],
  },
  sum('all axes', [3, 4, 2], [0, 1, 2]),
  sum('first axis', [6, 5], [0]),
  sum('last axis, kept', [6, 5], [-1], true),
  sum('middle axes', [2, 3, 4, 5], [1, 2]),
  sum('outer axes', [3, 4, 5], [0, 2]),
  { op: 'sum', name: 'float64', inputs: [between([5, 3], -1, 1, 'f64')], build: (x) => [ops.sum(x, { axes: [0] })], wrt: [0] },
  composite('mean', (x) => ops.square(ops.mean(x, { axes: [0] }))),
  composite('softmax', ops.softmax),
  composite('log of the sum of exponentials', ops.logSumExp),
  composite('dot', (x) => ops.dot(x, ops.square(x))),
  composite('norm', (x) => ops.norm(x, { axes: [1] })),
  {
    op: 'sum',
    name: 'weighted mean with a row left out',
    inputs: [between([4, 3], -1, 2), given([4], [1, 0, 0.5, 2])],
    build: (x, w) => [ops.square(ops.weightedMean(x, w))],
    wrt: [0, 1],
  },
  {
    op: 'sum',
    name: 'segment mean with an empty segment',
    inputs: [between([5, 2, 2], -1, 2), given([5], [0, 2, 2, 0, 2], 'i32'), given([3], [2, 0, 3])],
    build: (x, segment, counts) => [ops.square(ops.segmentMean(x, segment, counts))],
    wrt: [0],
  },
  {
    op: 'argmax',
    name: 'correct count',
    inputs: [distinct([6, 4]), integers([6], 4), given([6], [1, 1, 0, 1, 1, 1])],
    build: (z, target, weights) => [ops.correctCount(z, target, weights)],
    tolerance: 0,
  },
  { op: 'max', name: 'all axes', inputs: [distinct([3, 4])], build: (x) => [ops.square(ops.max(x))], wrt: [0] },
  {
    op: 'max',
    name: 'last axis',
    inputs: [distinct([2, 3, 4])],
    build: (x) => [ops.square(ops.max(x, { axes: [-1], keep: true }))],
    wrt: [0],
  },
  { op: 'argmax', name: 'first of ties', inputs: [integers([6, 5], 3, 'f32')], build: (x) => [ops.argmax(x)], tolerance: 0 },
]
