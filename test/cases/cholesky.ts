/** @file Cases of float64 linear algebra, and of ridge regressions whose derivatives are in closed form. */
import {
  cholesky,
  choleskySolve,
  gram,
  neg,
  ridgeSolution,
  ridgeWeights,
  scalar,
  stopGradient,
  transpose,
  type Value,
} from '../../src/engine/index.js'
import { between, type OpCase } from './case.js'

const positive = (rows: Value): { matrix: Value; ridge: Value } => ({
  matrix: gram(rows),
  ridge: scalar(0.5, 'f64', rows.node.graph),
})

const gramOfColumns = (x: Value): Value => gram(transpose(x, [1, 0]))

/** Sides that end inside a register tile, a panel, a block of the CPU (96) and of the GPU (64), and go over several. */
const sides = [1, 5, 25, 64, 97, 130, 200] as const

const lower = (n: number): OpCase => ({
  op: 'cholesky',
  name: `${n}x${n}`,
  inputs: [between([n, n + 3], -1, 1, 'f64')],
  build(rows) {
    const { matrix, ridge } = positive(rows)
    const { factor, info } = cholesky(matrix, ridge)
    return [factor, info]
  },
})

const solve = (n: number, k: number): OpCase => ({
  op: 'cholesky_solve',
  name: `${n}x${n}, ${k} right-hand sides`,
  inputs: [between([n, n + 3], -1, 1, 'f64'), between([n, k], -1, 1, 'f64')],
  build(rows, b) {
    const { matrix, ridge } = positive(rows)
    return [choleskySolve(cholesky(matrix, ridge).factor, b)]
  },
  wrt: [1],
})

export const choleskyCases: readonly OpCase[] = [
  ...(['f32', 'f64'] as const).flatMap((dtype): OpCase[] => [
    { op: 'gram', name: `${dtype}, a few rows`, inputs: [between([3, 5], -1, 1, dtype)], build: (a) => [gram(a)], wrt: [0] },
    ...(
      [
        [1, 1],
        [26, 300],
        [67, 1037],
        [130, 2065],
        [201, 141],
      ] as const
    ).map(
      ([n, d]): OpCase => ({ op: 'gram', name: `${dtype}, ${n}x${d}`, inputs: [between([n, d], -1, 1, dtype)], build: (a) => [gram(a)] }),
    ),
  ]),
  ...sides.map(lower),
  ...sides.map((n) => solve(n, n % 2 === 0 ? 67 : 7)),
  {
    op: 'cholesky',
    name: 'a ridge that is too small at first',
    inputs: [between([9, 2], -1, 1, 'f64')],
    // The negative of a matrix with eigenvalues of a few units: two ridges are too small for it.
    build(rows) {
      const { factor, info } = cholesky(neg(gram(rows)), scalar(0.1, 'f64', rows.node.graph))
      return [factor, info]
    },
  },
  ...(['kernel', 'dual', 'primal'] as const).map(
    (form): OpCase => ({
      op: 'ridge_solution',
      name: form,
      inputs: [between(form === 'primal' ? [6, 4] : [4, 6], -1, 1, 'f64'), between([], 0.4, 0.6, 'f64'), between([4, 3], -1, 1, 'f64')],
      build(x, ridge, b) {
        const matrix = form === 'primal' ? gramOfColumns(x) : gram(x)
        const { factor } = cholesky(stopGradient(matrix), stopGradient(ridge))
        return [ridgeSolution({ form, x: form === 'kernel' ? matrix : x, ridge, factor }, b)]
      },
      wrt: [0, 1, 2],
    }),
  ),
  {
    op: 'ridge_weights',
    name: 'weights and coefficients',
    inputs: [between([4, 6], -1, 1, 'f64'), between([], 0.4, 0.6, 'f64'), between([4, 3], -1, 1, 'f64')],
    build(x, ridge, b) {
      const { factor } = cholesky(stopGradient(gram(x)), stopGradient(ridge))
      const { weights, coefficients } = ridgeWeights({ x, ridge, factor }, b)
      return [weights, coefficients]
    },
    wrt: [0, 1, 2],
  },
]
