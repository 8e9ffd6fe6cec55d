/** @file Cases of the matrix product: every transposition, with and without batch dimensions. */
import { matmul } from '../../src/engine/index.js'
import { between, type OpCase } from './case.js'

const flags = [false, true]

export const matmulCases: readonly OpCase[] = [
  ...flags.flatMap((transposeA) =>
    flags.map(
      (transposeB): OpCase => ({
        op: 'matmul',
        name: `transposeA ${transposeA}, transposeB ${transposeB}`,
        inputs: [between(transposeA ? [4, 3] : [3, 4], -1, 1), between(transposeB ? [5, 4] : [4, 5], -1, 1)],
        build: (a, b) => [matmul(a, b, { transposeA, transposeB })],
        wrt: [0, 1],
      }),
    ),
  ),
  {
    op: 'matmul',
    name: 'batched, transposeA',
    inputs: [between([2, 3, 4, 3], -1, 1), between([2, 3, 4, 2], -1, 1)],
    build: (a, b) => [matmul(a, b, { transposeA: true })],
    wrt: [0, 1],
  },
  { op: 'matmul', name: 'gram', inputs: [between([4, 7], -1, 1)], build: (a) => [matmul(a, a, { transposeB: true })], wrt: [0] },
  {
    op: 'matmul',
    name: 'never rounded',
    inputs: [between([2, 8, 12], -1, 1), between([2, 8, 16], -1, 1)],
    build: (a, b) => [matmul(a, b, { transposeA: true, precision: 'f32' })],
    wrt: [0, 1],
  },
  {
    op: 'matmul',
    name: 'float64',
    inputs: [between([3, 4], -1, 1, 'f64'), between([4, 2], -1, 1, 'f64')],
    build: (a, b) => [matmul(a, b)],
    wrt: [0, 1],
  },
  {
    op: 'matmul',
    name: 'odd sizes',
    inputs: [between([17, 33], -1, 1), between([33, 19], -1, 1)],
    build: (a, b) => [matmul(a, b)],
    wrt: [0, 1],
  },
  ...flags.flatMap((transposeA) =>
    flags.map(
      (transposeB): OpCase => ({
        op: 'matmul',
        name: `pieces of a long inner axis, transposeA ${transposeA}, transposeB ${transposeB}`,
        inputs: [between(transposeA ? [2, 9001, 7] : [2, 7, 9001], -1, 1), between(transposeB ? [2, 5, 9001] : [2, 9001, 5], -1, 1)],
        build: (a, b) => [matmul(a, b, { transposeA, transposeB })],
      }),
    ),
  ),
  // GPU tiles of 64 x 64 and 128 x 32, the second for few columns, with a rest in every axis; inner axes of a few tiles, cut into parts or not.
  ...flags.flatMap((transposeA) =>
    flags.flatMap((transposeB) =>
      (
        [
          [2, 68, 72, 20],
          [1, 132, 12, 36],
          [1, 65, 67, 19],
          [1, 8, 12, 404],
          [1, 5, 3, 261],
        ] as const
      ).map(
        ([batch, m, n, k]): OpCase => ({
          op: 'matmul',
          name: `tiles, ${batch} of ${m}x${k}x${n}, transposeA ${transposeA}, transposeB ${transposeB}`,
          inputs: [between(transposeA ? [batch, k, m] : [batch, m, k], -1, 1), between(transposeB ? [batch, n, k] : [batch, k, n], -1, 1)],
          build: (a, b) => [matmul(a, b, { transposeA, transposeB })],
        }),
      ),
    ),
  ),
  ...flags.flatMap((transposeA) =>
    (
      [
        [2, 67, 35, 19],
        [1, 3, 5, 270],
      ] as const
    ).map(
      ([batch, m, n, k]): OpCase => ({
        op: 'matmul',
        name: `float64 tiles, ${batch} of ${m}x${k}x${n}, transposeA ${transposeA}`,
        inputs: [between(transposeA ? [batch, k, m] : [batch, m, k], -1, 1, 'f64'), between([batch, n, k], -1, 1, 'f64')],
        build: (a, b) => [matmul(a, b, { transposeA, transposeB: true })],
      }),
    ),
  ),
]
