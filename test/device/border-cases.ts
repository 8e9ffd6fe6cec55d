/**
 * @file Cases at the borders of a kernel's blocks: maps and rows just below, at and just above what one thread, warp or block takes. Too many
 * elements for finite differences one by one, as the table in test/cases has them; derivatives are compared with the float64 interpreter.
 */
import * as ops from '../../src/engine/index.js'
import { between, distinct, given, integers, type OpCase } from '../cases/index.js'

type Variant = ops.NormOptions & { power?: number }
type Map5 = readonly [number, number, number, number, number]

const describeNorm = ({ kind, groups, relu, pool, power }: Variant): string =>
  [kind, groups && `${groups} groups`, relu && 'relu', pool && 'pool', power && `power ${power}`].filter(Boolean).join(' ')

const norm = (x: Map5, options: Variant, rows?: readonly number[]): OpCase => ({
  op: 'norm_act_pool',
  name: `border, ${describeNorm(options)}, ${x.join('x')}${rows ? ', rows left out' : ''}`,
  inputs: [
    between(x, -2, 2),
    between([x[0], x[4]], 0.5, 1.5),
    between([x[0], x[4]], -0.5, 0.5),
    ...(rows ? [given([x[0], x[1]], rows)] : []),
  ],
  build(v, gamma, beta, rowWeights) {
    const all = { ...options, ...(rowWeights && { rowWeights }) }
    const { power } = all
    if (power === undefined) return [ops.normActPool(v, gamma, beta, all).y]
    const { y, positions, channels } = ops.normActPoolSums(v, gamma, beta, { ...all, power })
    return [y, positions, channels]
  },
  wrt: [0, 1, 2],
})

const pooled = { kind: 'instance', relu: true, pool: 2 } as const

const normCases: readonly OpCase[] = [
  norm([1, 3, 2, 2, 3], pooled),
  norm([1, 3, 2, 2, 130], pooled),
  norm([1, 2, 7, 5, 130], pooled),
  norm([2, 2, 6, 9, 64], pooled),
  norm([1, 3, 1, 3, 132], { kind: 'instance' }),
  norm([1, 2, 16, 15, 132], { kind: 'instance', relu: true }),
  // a map of which few channels, and one of which none can be kept in shared memory
  norm([1, 2, 40, 41, 20], pooled),
  norm([1, 1, 130, 131, 8], pooled),
  norm([1, 1, 131, 127, 3], { kind: 'instance', relu: true }),
  norm([1, 7, 1, 1, 192], { kind: 'group' }),
  norm([2, 3, 1, 1, 130], { kind: 'group', groups: 2 }),
  norm([2, 3, 5, 6, 72], { kind: 'group', groups: 2, relu: true, pool: 2 }),
  // sets of channels within tiles of channels: several tiles, a tile narrowed by a large map, sets that no tile holds
  norm([2, 2, 6, 5, 192], { kind: 'group', groups: 6, relu: true, pool: 2 }),
  norm([1, 2, 5, 6, 130], { kind: 'group', groups: 65 }),
  norm([1, 1, 30, 31, 64], { kind: 'group', groups: 2, relu: true, power: 3 }),
  norm([1, 2, 7, 5, 132], { kind: 'group', groups: 3, relu: true, pool: 2, power: 2 }),
  norm([1, 37, 5, 5, 6], { kind: 'batch', relu: true, pool: 2 }),
  norm([2, 40, 4, 3, 36], { kind: 'batch' }),
  norm([1, 40, 7, 3, 5], { kind: 'batch', relu: true, pool: 2 }, [...new Array(17).fill(1), ...new Array(20).fill(0), 1, 0, 1]),
  norm([1, 2, 2, 2, 3], { kind: 'batch', relu: true, pool: 2 }, [0, 0]),
  norm([1, 2, 7, 5, 130], { ...pooled, power: 4 }),
  norm([2, 3, 9, 6, 132], { ...pooled, power: 3 }),
  // even sizes: the sums' cotangents go into the gradient of the norm
  norm([1, 2, 16, 6, 132], { ...pooled, power: 4 }),
  norm([1, 2, 16, 18, 6], { ...pooled, power: 2 }),
  norm([2, 3, 4, 6, 72], { kind: 'group', groups: 2, relu: true, pool: 2, power: 3 }),
  norm([2, 40, 4, 2, 36], { kind: 'batch', relu: true, pool: 2, power: 4 }),
  norm([1, 40, 7, 3, 5], { kind: 'batch', relu: true, power: 2 }, [...new Array(17).fill(1), ...new Array(20).fill(0), 1, 0, 1]),
]

const pool = (
  x: readonly number[],
  window: number | readonly [number, number],
  stride: number | readonly [number, number],
): readonly OpCase[] => [
  {
    op: 'avg_pool2d',
    name: `border, ${window} by ${stride}, ${x.join('x')}`,
    inputs: [between(x, -1, 1)],
    build: (v) => [ops.square(ops.avgPool2d(v, { window, stride }))],
    wrt: [0],
  },
  {
    op: 'max_pool2d',
    name: `border, ${window} by ${stride}, ${x.join('x')}`,
    inputs: [distinct(x)],
    build: (v) => [ops.square(ops.maxPool2d(v, { window, stride }))],
    wrt: [0],
  },
]

const poolCases: readonly OpCase[] = [
  ...pool([3, 2, 2, 3], 2, 2),
  ...pool([2, 9, 7, 130], 2, 2),
  ...pool([2, 3, 8, 8, 132], 2, 2),
  ...pool([5, 9, 12, 4], 1, 2),
  ...pool([2, 11, 8, 12], 2, 3),
  ...pool([2, 10, 13, 8], [2, 3], [1, 2]),
  ...pool([2, 13, 12, 4], 9, 3),
  ...pool([3, 70, 3, 1], [66, 2], 1),
]

const reduce = (shape: readonly number[], axes: readonly number[]): readonly OpCase[] => [
  {
    op: 'sum',
    name: `border, ${shape.join('x')} over ${axes}`,
    inputs: [between(shape, -1, 2)],
    build: (x) => [ops.square(ops.sum(x, { axes }))],
    wrt: [0],
  },
  {
    op: 'max',
    name: `border, ${shape.join('x')} over ${axes}`,
    inputs: [distinct(shape, 2 ** -7)],
    build: (x) => [ops.max(x, { axes })],
    tolerance: 0,
  },
]

const argmax = (shape: readonly number[], below: number): OpCase => ({
  op: 'argmax',
  name: `border, ${shape.join('x')}, ${below} values`,
  inputs: [integers(shape, below, 'f32')],
  build: (x) => [ops.argmax(x)],
  tolerance: 0,
})

const powerSums = (shape: readonly number[], power: number): OpCase => ({
  op: 'power_sums',
  name: `border, ${shape.join('x')}`,
  inputs: [between(shape, -1, 1.5)],
  build(x) {
    const { positions, channels } = ops.powerSums(x, power)
    return [positions, channels]
  },
  wrt: [0],
})

const reduceCases: readonly OpCase[] = [
  ...reduce([300, 1, 3], [2]),
  ...reduce([70, 33], [1]),
  ...reduce([3, 2047], [1]),
  ...reduce([3, 2049], [1]),
  ...reduce([1, 70001], [0, 1]),
  ...reduce([2, 60001], [1]),
  ...reduce([5003, 3], [0]),
  ...reduce([4099, 33], [0]),
  ...reduce([2, 300, 2, 17], [0, 2]),
  ...reduce([3, 50, 4, 7], [1, 3]),
  ...reduce([2, 60, 3, 50], [1, 3]),
  ...reduce([2, 3, 5, 2, 3, 4], [1, 3, 5]),
  ...reduce([2, 3, 5, 2, 3, 4], [0, 2, 4]),
  {
    op: 'sum',
    name: 'border, float64',
    inputs: [between([3, 5003], -1, 1, 'f64')],
    build: (x) => [ops.sum(x, { axes: [1] }), ops.sum(x, { axes: [0] })],
  },
  argmax([300, 1], 2),
  argmax([300, 10], 3),
  argmax([70, 33], 4),
  argmax([3, 2047], 3),
  argmax([3, 5003], 2000),
  powerSums([3, 1, 1, 3], 2),
  powerSums([2, 5, 7, 130], 4),
  powerSums([2, 3, 9, 7, 132], 3),
  powerSums([1, 61, 67, 8], 4),
  powerSums([1, 40, 41, 1], 1),
]

const softmax = (rows: number, classes: number): readonly OpCase[] => {
  const z = between([rows, classes], -4, 4)
  const targets = [
    { kind: 'hard', target: integers([rows], classes) },
    { kind: 'soft', target: between([rows, classes], 0, 1.5 / classes) },
  ]
  return [
    {
      op: 'log_softmax',
      name: `border, ${rows} rows of ${classes}`,
      inputs: [z],
      build: (x) => [ops.logSoftmax(x)],
      wrt: [0],
    },
    ...targets.flatMap(({ kind, target }): OpCase[] => [
      {
        op: 'softmax_ce',
        name: `border, ${kind}, ${rows} rows of ${classes}`,
        inputs: [z, target],
        build: (a, t) => [ops.softmaxCe(a, t).loss],
        wrt: kind === 'soft' ? [0, 1] : [0],
      },
      {
        op: 'softmax_ce',
        name: `border, ${kind}, ${rows} rows of ${classes}, with features`,
        inputs: [z, target, between([rows, classes + 1], -2, 2)],
        build(a, t, h) {
          const { loss, el2n, lastLayer } = ops.softmaxCeOfFeatures(a, t, h)
          return [loss, el2n, lastLayer]
        },
      },
    ]),
  ]
}

const softmaxCases: readonly OpCase[] = [
  ...softmax(3, 1),
  ...softmax(129, 2),
  ...softmax(300, 10),
  ...softmax(129, 11),
  ...softmax(130, 16),
  ...softmax(131, 32),
  ...softmax(9, 33),
  ...softmax(10, 100),
  ...softmax(9, 128),
  ...softmax(9, 130),
  ...softmax(5, 260),
  ...softmax(5, 515),
  ...softmax(3, 1000),
  ...softmax(3, 1023),
  ...softmax(3, 1025),
  ...softmax(2, 3001),
  { op: 'log_softmax', name: 'border, float64', inputs: [between([9, 70], -4, 4, 'f64')], build: (x) => [ops.logSoftmax(x)] },
  { op: 'log_softmax', name: 'border, wide, float64', inputs: [between([2, 1500], -4, 4, 'f64')], build: (x) => [ops.logSoftmax(x)] },
]

export const borderCases: readonly OpCase[] = [...normCases, ...poolCases, ...reduceCases, ...softmaxCases]
