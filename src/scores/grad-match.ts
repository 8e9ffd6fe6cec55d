/** @file GradMatch (Killamsetty et al., 2103.00123): orthogonal matching pursuit of the mean gradient by gradients of single samples. */
import { checkOptions } from '../arguments.js'
import { expected } from '../errors.js'
import { Turn } from '../event-loop.js'
import { type GradientFactors, gradientRows } from './gradient-factors.js'
import { GrowingCholesky, nonNegativeLeastSquares } from './least-squares.js'
import type { Matrix } from './matrix.js'
import { checkCount, type WeightedPick } from './pick.js'

export interface GradMatchOptions {
  /** Ridge of the refits and of the final weights; default 1. The first refit has none. */
  readonly lambda?: number
}

export interface GradMatch extends WeightedPick {
  /** ||mean gradient - sum of weight times gradient||. */
  readonly residualNorm: number
}

/**
 * `count` rows of `gradients` [samples, width], whole or in factors, in the order chosen: each step takes argmax <g, residual> among those
 * left (signed; the first row wins ties) and refits. The weights are >= 0 and make up the mean gradient: times the number of samples they
 * stand for the sum. Memory: 8 bytes for every row and chosen row. Time grows with the cube of `count` and more: for hundreds, not thousands.
 * Throws `invalid_option`, `invalid_shape`, `detached`, `not_finite`.
 */
export async function gradMatch(gradients: Matrix | GradientFactors, count: number, options: GradMatchOptions = {}): Promise<GradMatch> {
  checkOptions<GradMatchOptions>('gradMatch', options, { lambda: true })
  const { lambda = 1 } = options
  if (!Number.isFinite(lambda) || lambda <= 0) throw expected('invalid_option', 'gradMatch: lambda', 'a number > 0', lambda)
  const source = await gradientRows('gradMatch: gradients', gradients)
  const { rows } = source
  checkCount('gradMatch', count, rows)
  const turn = new Turn()
  const mean = await source.mean()
  const left = new Uint8Array(rows).fill(1)
  const chosen: number[] = []
  /** Inner products of each chosen row with every row: residuals are never written out, only what they are aligned with. */
  const columns: Float64Array[] = []
  const gram: Float64Array[] = []
  const projections: number[] = []
  const factor = new GrowingCholesky()
  let aligned = mean.products
  for (let t = 0; t < count; t++) {
    const best = mostAligned(aligned, left)
    left[best] = 0
    chosen.push(best)
    const column = new Float64Array(rows)
    await source.products(best, column)
    columns.push(column)
    gram.push(Float64Array.from(chosen, (other) => column[other]))
    projections.push(mean.products[best])
    factor.grow(gram[t].map((value, i) => (i === t ? value + lambda : value)))
    // a gradient of zeros has no share in anything
    const first = () => Float64Array.of(gram[0][0] === 0 ? 0 : projections[0] / gram[0][0])
    aligned = await rest(mean.products, t === 0 ? first() : factor.solve(projections), columns, turn)
  }
  const normal = chosen.map((_, j) => Float64Array.from(chosen, (_, i) => (i >= j ? gram[i][j] : gram[j][i]) + (i === j ? lambda : 0)))
  const start = count === 0 ? new Float64Array() : factor.solve(projections)
  const weights = await nonNegativeLeastSquares(normal, Float64Array.from(projections), start)
  let square = mean.square
  for (const [i, row] of normal.entries()) {
    square -= 2 * weights[i] * projections[i]
    for (let j = 0; j < count; j++) square += weights[i] * weights[j] * (row[j] - (i === j ? lambda : 0))
  }
  return { indices: Int32Array.from(chosen), weights, residualNorm: Math.sqrt(Math.max(0, square)) }
}

function mostAligned(aligned: Float64Array, left: Uint8Array): number {
  let [best, largest] = [-1, Number.NEGATIVE_INFINITY]
  for (let i = 0; i < aligned.length; i++) {
    if (left[i] === 0 || !(aligned[i] > largest)) continue
    largest = aligned[i]
    best = i
  }
  return best
}

/** target - sum of weight times column. */
async function rest(target: Float64Array, weights: Float64Array, columns: readonly Float64Array[], turn: Turn): Promise<Float64Array> {
  const left = target.slice()
  for (const [j, column] of columns.entries()) {
    for (let i = 0; i < left.length; i++) left[i] -= weights[j] * column[i]
    await turn.breathe()
  }
  return left
}
