/** @file Linear algebra in float64: Gram matrices, Cholesky factors, and systems that are solved with them. */
import { expected } from '../../errors.js'
import type { TensorType, Value } from '../graph/node.js'
import { formatShape, sizeOf } from '../tensor/shape.js'
import { emit, emitOne } from './build.js'
import { checkArity, checkDtype, checkRank, checkShapeIs } from './check.js'
import { defineOp, type RefTensor } from './define.js'
import { add, cast } from './elementwise.js'
import { matmul } from './matmul.js'
import { transpose } from './movement.js'
import { zeros } from './reference-tensor.js'

/** Ridges that are tried: each is ten times the one before. */
export const ridgeTries = 6
const ridgeGrowth = 10

export interface CholeskyFactor {
  /** f64 `[n,n]`: L of L L^T = A + multiplier ridge I, zeros above the diagonal; NaN when every try failed. */
  readonly factor: Value
  /**
   * f64 `[4]`: multiplier of the ridge (1, 10, …), smallest and largest pivot (squares of L's diagonal), tries that failed. After the last
   * of them (6) the smallest pivot is the one that was not positive, and the largest is NaN.
   */
  readonly info: Value
}

/** a a^T of a `[n,d]`, f32 or f64 -> f64 `[n,n]`, symmetric to the bit; products and sums are float64 whatever a is. */
export const gram = (a: Value): Value => emitOne('gram', [a])

/**
 * L L^T = a + ridge I; a f64 `[n,n]`, of which the lower triangle is read, and ridge f64 `[]`. A pivot that is not positive and finite
 * makes the ridge ten times larger, five times at most. Not differentiable: see `ridgeSolution`.
 */
export function cholesky(a: Value, ridge: Value): CholeskyFactor {
  const [factor, info] = emit('cholesky', [a, ridge])
  return { factor, info }
}

/** (L L^T)^-1 b for L of `cholesky` and b f64 `[n,k]` -> f64 `[n,k]`. Differentiable in b alone. */
export const choleskySolve = (factor: Value, b: Value): Value => emitOne('cholesky_solve', [factor, b])

/** n of a square f64 matrix. */
function checkSquare(op: string, name: string, a: TensorType): number {
  checkDtype(op, a, 'f64')
  checkRank(op, name, a, 2, '[n,n]')
  const [n] = a.shape
  checkShapeIs(op, name, a, [n, n])
  return n
}

const gramOp = defineOp({
  doc: 'Products of all pairs of rows, in float64.',
  type(inputs) {
    checkArity('gram', inputs, 1)
    checkDtype('gram', inputs[0], 'f32', 'f64')
    checkRank('gram', 'a', inputs[0], 2, '[n,d]')
    const [n] = inputs[0].shape
    return [{ shape: [n, n], dtype: 'f64' }]
  },
  vjp({ inputs: [a], cotangents: [cotangent] }) {
    const g = cotangent as Value
    return [matmul(cast(add(g, transpose(g, [1, 0])), a.dtype), a, { precision: 'f32' })]
  },
  reference([a], _, [y]) {
    const [n, d] = a.shape
    const out = zeros(y.shape)
    for (let i = 0; i < n; i++)
      for (let j = 0; j <= i; j++) {
        // Compensated: sums in a row are worse than the sums by stretches of a device.
        let [sum, lost] = [0, 0]
        for (let p = 0; p < d; p++) {
          const term = a.data[i * d + p] * a.data[j * d + p] - lost
          const next = sum + term
          lost = next - sum - term
          sum = next
        }
        out.data[i * n + j] = out.data[j * n + i] = sum
      }
    return [out]
  },
  // As a multiplication and an addition for each pair: half of them, a matrix and its mirror.
  flops: ([a]) => (a.shape[0] + 1) * sizeOf(a.shape),
})

interface Attempt {
  readonly factor: RefTensor
  readonly smallest: number
  readonly largest: number
  readonly failed: boolean
}

/** One try of the factorisation, row by row. */
function attempt(a: RefTensor, ridge: number): Attempt {
  const [n] = a.shape
  const l = zeros(a.shape)
  let [smallest, largest] = [Number.POSITIVE_INFINITY, 0]
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a.data[i * n + j] + (i === j ? ridge : 0)
      for (let p = 0; p < j; p++) sum -= l.data[i * n + p] * l.data[j * n + p]
      if (j < i) {
        l.data[i * n + j] = sum / l.data[j * n + j]
        continue
      }
      if (!(sum > 0 && sum < Number.POSITIVE_INFINITY)) return { factor: l, smallest: sum, largest: Number.NaN, failed: true }
      l.data[i * n + i] = Math.sqrt(sum)
      smallest = Math.min(smallest, sum)
      largest = Math.max(largest, sum)
    }
  }
  return { factor: l, smallest, largest, failed: false }
}

const choleskyOp = defineOp({
  doc: 'Cholesky factor of a symmetric matrix plus a ridge, which grows tenfold where a pivot is not positive; not differentiable.',
  type(inputs) {
    checkArity('cholesky', inputs, 2)
    const [a, ridge] = inputs
    checkSquare('cholesky', 'a', a)
    checkDtype('cholesky', ridge, 'f64')
    checkShapeIs('cholesky', 'ridge', ridge, [])
    return [
      { shape: a.shape, dtype: 'f64' },
      { shape: [4], dtype: 'f64' },
    ]
  },
  reference([a, ridge]) {
    let multiplier = 1
    let tries = 0
    let last = attempt(a, ridge.data[0])
    while (last.failed && ++tries < ridgeTries) {
      multiplier *= ridgeGrowth
      last = attempt(a, multiplier * ridge.data[0])
    }
    const factor = last.failed ? { shape: a.shape, data: a.data.map(() => Number.NaN) } : last.factor
    return [factor, { shape: [4], data: Float64Array.of(multiplier, last.smallest, last.largest, tries) }]
  },
  flops: ([a]) => a.shape[0] ** 3 / 3,
})

const choleskySolveOp = defineOp({
  doc: 'Solves with a Cholesky factor, all right-hand sides at once.',
  type(inputs) {
    checkArity('cholesky_solve', inputs, 2)
    const [factor, b] = inputs
    const n = checkSquare('cholesky_solve', 'factor', factor)
    checkDtype('cholesky_solve', b, 'f64')
    checkRank('cholesky_solve', 'b', b, 2, '[n,k]')
    if (b.shape[0] !== n)
      throw expected('invalid_shape', 'cholesky_solve', `right-hand sides [${n},k] for a factor [${n},${n}]`, formatShape(b.shape))
    return [b]
  },
  differentiable: [1],
  vjp: ({ inputs: [factor], cotangents: [g] }) => [null, choleskySolve(factor, g as Value)],
  reference([factor, b]) {
    const [n, k] = b.shape
    const l = factor.data
    const x = Float64Array.from(b.data)
    const eliminate = (i: number, p: number, value: number) => {
      for (let c = 0; c < k; c++) x[i * k + c] -= value * x[p * k + c]
    }
    const scale = (i: number) => {
      for (let c = 0; c < k; c++) x[i * k + c] /= l[i * n + i]
    }
    for (let i = 0; i < n; i++) {
      for (let p = 0; p < i; p++) eliminate(i, p, l[i * n + p])
      scale(i)
    }
    for (let i = n - 1; i >= 0; i--) {
      for (let p = i + 1; p < n; p++) eliminate(i, p, l[p * n + i])
      scale(i)
    }
    return [{ shape: b.shape, data: x }]
  },
  flops: ([factor], [x]) => 2 * factor.shape[0] * sizeOf(x.shape),
})

export const choleskyOps = { gram: gramOp, cholesky: choleskyOp, cholesky_solve: choleskySolveOp }
