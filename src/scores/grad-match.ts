/** @file GradMatch (Killamsetty et al., 2103.00123): orthogonal matching pursuit of the mean gradient by gradients of single samples. */
import { checkOptions } from '../arguments.js'
import { expected } from '../errors.js'
import { Turn } from '../event-loop.js'
import { GrowingCholesky, nonNegativeLeastSquares } from './least-squares.js'
import { checkFiniteMatrix, inner, type Matrix, meanRow, rowsPerTurn } from './matrix.js'
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
 * `count` rows of `gradients` [samples, width] in the order chosen: each step takes argmax <g, residual> among those left (signed; the
 * first row wins ties) and refits. The weights are >= 0 and make up the mean gradient: times the number of samples they stand for the sum.
 * Throws `invalid_option`, `invalid_shape`, `detached`, `not_finite`.
 */
export async function gradMatch(gradients: Matrix, count: number, options: GradMatchOptions = {}): Promise<GradMatch> {
  checkOptions<GradMatchOptions>('gradMatch', options, { lambda: true })
  const { lambda = 1 } = options
  if (!Number.isFinite(lambda) || lambda <= 0) throw expected('invalid_option', 'gradMatch: lambda', 'a number > 0', lambda)
  await checkFiniteMatrix('gradMatch: gradients', gradients)
  const {
    data,
    shape: [rows, width],
  } = gradients
  checkCount('gradMatch', count, rows)
  const turn = new Turn()
  const mean = await meanRow(gradients, turn)
  const row = (i: number) => data.subarray(i * width, (i + 1) * width)
  const left = new Uint8Array(rows).fill(1)
  const chosen: number[] = []
  const gram: Float64Array[] = []
  const projections: number[] = []
  const factor = new GrowingCholesky()
  let residual = mean
  for (let t = 0; t < count; t++) {
    const best = await mostAligned(gradients, residual, left, turn)
    left[best] = 0
    chosen.push(best)
    gram.push(Float64Array.from(chosen, (other) => inner(row(best), row(other), 0)))
    projections.push(inner(mean, data, best * width))
    factor.grow(gram[t].map((value, i) => (i === t ? value + lambda : value)))
    // a gradient of zeros has no share in anything
    const first = () => Float64Array.of(gram[0][0] === 0 ? 0 : projections[0] / gram[0][0])
    residual = rest(mean, t === 0 ? first() : factor.solve(projections), chosen.map(row))
    await turn.breathe()
  }
  const normal = chosen.map((_, j) => Float64Array.from(chosen, (_, i) => (i >= j ? gram[i][j] : gram[j][i]) + (i === j ? lambda : 0)))
  const weights = nonNegativeLeastSquares(normal, Float64Array.from(projections))
  const unexplained = rest(mean, weights, chosen.map(row))
  return { indices: Int32Array.from(chosen), weights, residualNorm: Math.sqrt(inner(unexplained, unexplained, 0)) }
}

async function mostAligned({ data, shape: [rows, width] }: Matrix, residual: Float64Array, left: Uint8Array, turn: Turn): Promise<number> {
  const step = rowsPerTurn(width)
  let [best, largest] = [-1, Number.NEGATIVE_INFINITY]
  for (let i = 0; i < rows; i++) {
    if (i % step === 0) await turn.breathe()
    if (left[i] === 0) continue
    const aligned = inner(residual, data, i * width)
    if (aligned > largest) {
      largest = aligned
      best = i
    }
  }
  return best
}

/** target - sum of weight times row. */
function rest(target: Float64Array, weights: Float64Array, rows: readonly ArrayLike<number>[]): Float64Array {
  const left = target.slice()
  for (const [j, row] of rows.entries()) for (let i = 0; i < left.length; i++) left[i] -= weights[j] * row[i]
  return left
}
