/** @file Cases large enough for kernels to spread over threads, with sizes that no block divides. */
import * as ops from '../../src/engine/index.js'
import { keyOf, purpose } from '../../src/engine/index.js'
import { between, distinct, given, integers, type OpCase } from '../cases/index.js'

const theta = Array.from(
  { length: 61 },
  (_, n) =>
    [
      [0, 0, 0, 0, 0, 0, 0, 0],
      [1, 0.25, 1.5, 0.75, 0, 0, 0, 0],
      [2, 2, -3, 0, 0, 0, 0, 0],
      [3, 4, 5, 8, 8, 0, 0, 0],
      [4, 1, 0, 0, 0, 0, 0, 0],
      [5, 0.9375, -0.25, 0.125, 0.25, 0.9375, 0, 0],
    ][n % 6],
).flat()

const norm = (kind: 'instance' | 'group' | 'batch'): OpCase => ({
  op: 'norm_act_pool',
  name: `large, ${kind}`,
  inputs: [between([2, 13, 12, 12, 24], -2, 2), between([2, 24], 0.5, 1.5), between([2, 24], -0.5, 0.5)],
  build: (x, gamma, beta) => [ops.normActPool(x, gamma, beta, { kind, groups: kind === 'group' ? 4 : 1, relu: true, pool: 2 }).y],
  wrt: [0, 1, 2],
})

/** Bands of several rows, a rim on both sides, channels beyond one run of vectors. */
const normSums = (size: number, channels: number): OpCase => ({
  op: 'norm_act_pool',
  name: `large, sums, ${size} pixels, ${channels} channels`,
  inputs: [between([1, 3, size, size, channels], -2, 2), between([1, channels], 0.5, 1.5), between([1, channels], -0.5, 0.5)],
  build(x, gamma, beta) {
    const { y, positions, channels: atChannel } = ops.normActPoolSums(x, gamma, beta, { kind: 'instance', relu: true, pool: 2, power: 4 })
    return [y, positions, atChannel]
  },
  wrt: [0],
})

/** Several blocks of pixels and channels, none of them whole. */
const squaredNorm = (size: number, channels: number, kind: 'direct' | 'gram'): OpCase => ({
  op: 'conv2d_weight_grad_squared_norm',
  name: `large, ${kind}, ${size} pixels, ${channels} channels`,
  inputs: [between([13, 1, size, size, channels], -1, 1), between([13, 1, size, size, 37], -1, 1)],
  build(x, dy) {
    const { dw, db } = ops.conv2dWeightGradSquaredNorm(x, dy, 3, 3, { pad: 1, norm: kind })
    return [dw, db]
  },
})

export const largeCases: readonly OpCase[] = [
  normSums(9, 35),
  normSums(33, 24),
  normSums(5, 1090),
  {
    op: 'map',
    name: 'large',
    inputs: [between([3, 257, 131], -2, 2), between([257, 1], 0.5, 2)],
    build: (x, y) => [ops.tanh(ops.sub(ops.mul(x, y), ops.square(x)))],
    wrt: [0, 1],
  },
  { op: 'sum', name: 'large, all', inputs: [between([70001], -1, 2)], build: (x) => [ops.sum(ops.square(x))], wrt: [0] },
  { op: 'sum', name: 'large, rows', inputs: [between([3001, 37], -1, 2)], build: (x) => [ops.square(ops.sum(x, { axes: [0] }))], wrt: [0] },
  {
    op: 'sum',
    name: 'large, columns',
    inputs: [between([301, 371], -1, 2)],
    build: (x) => [ops.square(ops.sum(x, { axes: [1] }))],
    wrt: [0],
  },
  {
    op: 'power_sums',
    name: 'large',
    inputs: [between([5, 13, 11, 1061], -1, 1)],
    build(x) {
      const { positions, channels } = ops.powerSums(x, 4)
      return [positions, channels]
    },
    wrt: [0],
  },
  { op: 'max', name: 'large', inputs: [distinct([41, 1009])], build: (x) => [ops.max(x), ops.square(ops.max(x, { axes: [1] }))], wrt: [0] },
  {
    op: 'transpose',
    name: 'large',
    inputs: [between([61, 16, 16, 7], -1, 1)],
    build: (x) => [ops.square(ops.transpose(x, [0, 3, 1, 2]))],
    wrt: [0],
  },
  {
    op: 'matmul',
    name: 'large',
    inputs: [between([211, 307], -1, 1), between([307, 97], -1, 1)],
    build: (a, b) => [ops.matmul(a, b)],
    wrt: [0, 1],
  },
  {
    op: 'matmul',
    name: 'long inner axis',
    inputs: [between([10, 5003], -1, 1), between([5003, 9], -1, 1)],
    build: (a, b) => [ops.matmul(a, b)],
  },
  {
    op: 'matmul',
    name: 'long inner axis, both operands along it',
    inputs: [between([33, 40013], -1, 1), between([9, 40013], -1, 1)],
    build: (a, b) => [ops.matmul(a, b, { transposeB: true })],
  },
  {
    op: 'matmul',
    name: 'long inner axis, batched',
    inputs: [between([3, 20483, 17], -1, 1), between([3, 20483, 40], -1, 1)],
    build: (a, b) => [ops.matmul(a, b, { transposeA: true })],
  },
  {
    op: 'conv2d',
    name: 'large, 5x5, stride 2',
    inputs: [between([1, 23, 15, 15, 6], -1, 1), between([1, 5, 5, 6, 20], -1, 1), between([1, 20], -1, 1)],
    build: (x, w, bias) => [ops.conv2d(x, w, bias, { pad: 2, stride: 2 })],
    wrt: [0, 1, 2],
  },
  squaredNorm(16, 40, 'gram'),
  squaredNorm(9, 35, 'gram'),
  squaredNorm(11, 67, 'direct'),
  squaredNorm(19, 3, 'direct'),
  norm('instance'),
  norm('group'),
  norm('batch'),
  { op: 'avg_pool2d', name: 'large', inputs: [between([61, 16, 16, 9], -1, 1)], build: (x) => [ops.avgPool2d(x, { window: 2 })], wrt: [0] },
  {
    op: 'max_pool2d',
    name: 'large',
    inputs: [distinct([13, 15, 15, 9])],
    build: (x) => [ops.maxPool2d(x, { window: 3, stride: 2 })],
    wrt: [0],
  },
  { op: 'log_softmax', name: 'large', inputs: [between([701, 103], -3, 3)], build: (x) => [ops.logSoftmax(x)], wrt: [0] },
  {
    op: 'softmax_ce',
    name: 'large',
    inputs: [between([701, 103], -3, 3), integers([701], 103)],
    build: (z, t) => [ops.softmaxCe(z, t).loss],
    wrt: [0],
  },
  {
    op: 'softmax_ce',
    name: 'large, with features',
    inputs: [between([3701, 10], -3, 3), integers([3701], 10), between([3701, 1061], -1, 1)],
    build(z, t, h) {
      const { loss, el2n, lastLayer } = ops.softmaxCeOfFeatures(z, t, h)
      return [loss, el2n, lastLayer]
    },
  },
  {
    op: 'gather',
    name: 'large',
    inputs: [between([301, 259], -1, 1), integers([907], 301)],
    build: (x, index) => [ops.square(ops.gather(x, index))],
    wrt: [0],
  },
  {
    op: 'image_gather',
    name: 'large',
    inputs: [integers([31, 16, 16, 3], 256, 'u8'), integers([97], 31), between([3], 0.01, 0.02), between([3], -2, -1)],
    build: (images, index, scale, shift) => [ops.imageGather(images, index, scale, shift)],
  },
  {
    op: 'augment',
    name: 'large',
    inputs: [between([61, 16, 16, 3], -1, 1), given([61, 8], theta)],
    build: (x, t) => [ops.augment(x, t)],
    wrt: [0],
  },
  {
    op: 'random_normal',
    name: 'large',
    inputs: [given([2], [...keyOf(9)], 'u32'), given([1], [4], 'u32')],
    build: (key, step) => [ops.randomNormal(key, step, [50021], purpose.noise), ops.randomUniform(key, step, [30011], purpose.noise)],
  },
  {
    op: 'random_permutation',
    name: 'large',
    inputs: [given([2], [...keyOf(9)], 'u32'), given([1], [4], 'u32')],
    build: (key, step) => [ops.randomPermutation(key, step, 20011, purpose.shuffle)],
    tolerance: 0,
  },
  {
    op: 'k_center_step',
    name: 'large',
    inputs: [
      between([3001, 301], -1, 1),
      given([3001], new Array(3001).fill(Infinity), 'f64'),
      given([], [17], 'i32'),
      given([], [-1], 'i32'),
    ],
    build(x, nearest, next, start) {
      const panels = ops.rowPanels(x)
      const first = ops.kCenterStep(panels, nearest, next, start)
      const second = ops.kCenterStep(panels, first.nearest, first.next, start)
      return [second.nearest, second.next, second.chosen, second.radius]
    },
    tolerance: 0,
  },
  {
    op: 'herd_step',
    name: 'large',
    inputs: [
      between([3001, 301], -1, 1),
      between([301], -0.1, 0.1, 'f64'),
      between([301], -1, 1, 'f64'),
      given([3001], new Array(3001).fill(0), 'i32'),
    ],
    build(x, mean, target, taken) {
      const panels = ops.rowPanels(x)
      const first = ops.herdStep(panels, mean, target, taken, 'residual')
      const second = ops.herdStep(panels, mean, first.target, first.taken, 'welling')
      return [second.target, second.taken, second.chosen]
    },
    tolerance: 0,
  },
]
