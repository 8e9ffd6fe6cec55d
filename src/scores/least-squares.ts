/** @file Small dense least squares in float64: a Cholesky factor that grows by a row, and Lawson and Hanson's non-negative least squares. */
import { Turn } from '../event-loop.js'

/** Cholesky factor of a symmetric positive definite matrix that grows by one row and column at a time: refitting costs O(k^2). */
export class GrowingCholesky {
  readonly #rows: Float64Array[] = []

  /** Appends the last row of the grown matrix, diagonal last. */
  grow(row: ArrayLike<number>): void {
    const k = this.#rows.length
    const added = new Float64Array(k + 1)
    for (let i = 0; i <= k; i++) {
      let rest = row[i]
      const other = i < k ? this.#rows[i] : added
      for (let j = 0; j < i; j++) rest -= added[j] * other[j]
      added[i] = i < k ? rest / other[i] : Math.sqrt(rest)
    }
    this.#rows.push(added)
  }

  solve(right: ArrayLike<number>): Float64Array {
    const rows = this.#rows
    const x = Float64Array.from(right)
    for (let i = 0; i < x.length; i++) {
      for (let j = 0; j < i; j++) x[i] -= rows[i][j] * x[j]
      x[i] /= rows[i][i]
    }
    for (let i = x.length - 1; i >= 0; i--) {
      for (let j = i + 1; j < x.length; j++) x[i] -= rows[j][i] * x[j]
      x[i] /= rows[i][i]
    }
    return x
  }
}

/** Least squares of the given `columns` of full rank, by Householder reflections; coefficients in the order of the columns. */
export async function leastSquares(columns: readonly Float64Array[], right: Float64Array): Promise<Float64Array> {
  const turn = new Turn()
  const a = columns.map((column) => column.slice())
  const b = right.slice()
  const reflect = (v: Float64Array, from: number, scale: number, target: Float64Array): void => {
    let product = 0
    for (let i = from; i < v.length; i++) product += v[i] * target[i]
    for (let i = from; i < v.length; i++) target[i] -= product * scale * v[i]
  }
  const diagonal = new Float64Array(a.length)
  for (let k = 0; k < a.length; k++) {
    const v = a[k].slice()
    let norm = 0
    for (let i = k; i < v.length; i++) norm += v[i] ** 2
    diagonal[k] = v[k] > 0 ? -Math.sqrt(norm) : Math.sqrt(norm)
    v[k] -= diagonal[k]
    // ||v||^2 / 2, without cancellation: both parts of v[k] have the same sign
    const scale = 1 / (norm - diagonal[k] * a[k][k])
    for (let j = k + 1; j < a.length; j++) {
      reflect(v, k, scale, a[j])
      if (j % 64 === 0) await turn.breathe()
    }
    reflect(v, k, scale, b)
  }
  const x = new Float64Array(a.length)
  for (let k = a.length - 1; k >= 0; k--) {
    x[k] = b[k]
    for (let j = k + 1; j < a.length; j++) x[k] -= a[j][k] * x[j]
    x[k] /= diagonal[k]
  }
  return x
}

/**
 * argmin ||A x - right|| over x >= 0 (Lawson & Hanson 1974) for `columns` of full rank. `start`, where it is given, is a guess: the solution
 * without the bounds, which is the answer where it has no negative number, and says else which columns to begin with.
 */
export async function nonNegativeLeastSquares(
  columns: readonly Float64Array[],
  right: Float64Array,
  start?: Float64Array,
): Promise<Float64Array> {
  const n = columns.length
  if (start?.every((value) => value >= 0)) return start
  const x = new Float64Array(n)
  const passive = new Uint8Array(n)
  if (start) {
    for (let j = 0; j < n; j++) {
      x[j] = Math.max(0, start[j])
      passive[j] = x[j] > 0 ? 1 : 0
    }
    if (passive.includes(1)) await fitPassive(columns, right, x, passive)
  }
  const turn = new Turn()
  const scale = columns.reduce((largest, column) => column.reduce((m, value) => Math.max(m, Math.abs(value)), largest), 0)
  const tolerance = 10 * Number.EPSILON * n * scale * right.reduce((m, value) => Math.max(m, Math.abs(value)), 0)
  // each round adds a column and the residual falls, so none comes back; the bound is a guard against rounding
  for (let round = 0; round < 3 * n; round++) {
    await turn.breathe()
    const residual = right.map((value, i) => columns.reduce((rest, column, j) => rest - column[i] * x[j], value))
    let entering = -1
    let steepest = tolerance
    for (let j = 0; j < n; j++) {
      if (passive[j] === 1) continue
      const slope = columns[j].reduce((sum, value, i) => sum + value * residual[i], 0)
      if (slope > steepest) {
        steepest = slope
        entering = j
      }
    }
    if (entering < 0) break
    passive[entering] = 1
    await fitPassive(columns, right, x, passive)
  }
  return x
}

/** Refits the passive columns; those that would become negative leave at the point where they reach 0. */
async function fitPassive(columns: readonly Float64Array[], right: Float64Array, x: Float64Array, passive: Uint8Array): Promise<void> {
  for (;;) {
    const active = [...passive.keys()].filter((j) => passive[j] === 1)
    const fitted = await leastSquares(
      active.map((j) => columns[j]),
      right,
    )
    // how far each coefficient may go before it would be negative; a column that just entered stands at 0
    const reach = active.map((j, i) => (fitted[i] > 0 ? 1 : x[j] === 0 ? 0 : x[j] / (x[j] - fitted[i])))
    const step = Math.min(1, ...reach)
    for (const [i, j] of active.entries()) {
      const blocked = fitted[i] <= 0 && reach[i] <= step
      x[j] = blocked ? 0 : x[j] + step * (fitted[i] - x[j])
      if (blocked) passive[j] = 0
    }
    if (step === 1 && active.every((j) => passive[j] === 1)) return
  }
}
