/**
 * @file Ridge regression in closed form, as graph functions: the head of a network's features, and coefficients over any kernel. The system
 * is solved by a Cholesky factor in float64; gradients are two solves with the same factor (see `ridgeWeights`).
 */
import { checkOptions } from '../arguments.js'
import {
  add,
  cast,
  cholesky,
  concat,
  div,
  gram,
  matmul,
  maximum,
  mul,
  type RidgeForm,
  type RidgeSystem,
  reshape,
  ridgeSolution,
  ridgeWeights,
  scalar,
  slice,
  sqrt,
  squaredNorm,
  stopGradient,
  sub,
  sum,
  transpose,
  type Value,
} from '../engine/index.js'
import { formatShape } from '../engine/tensor/shape.js'
import { expected } from '../errors.js'

/** How large the ridge is: c tr(K), c tr(K) / n, or c; `detach`: whether it is a constant of differentiation. */
export interface Ridge {
  readonly c: number
  readonly scale: 'trace' | 'meanTrace' | 'absolute'
  readonly detach: boolean
}

export const ridgeScales = ['trace', 'meanTrace', 'absolute'] as const

/** Places in `info`. */
export const ridgeInfo = { ridge: 0, share: 1, smallestPivot: 2, largestPivot: 3, failedTries: 4, residual: 5 } as const
/** Tries after which a factorisation is given up: `info[failedTries]` is this, and the solution is NaN. */
export const mostRidgeTries = 6

export interface RidgeHead {
  /** `[d,k]`, the dtype of phi: a prediction is matmul(phiReal, weights). */
  readonly weights: Value
  /** f64 `[n,k]`, the dual route only: weights = phi^T coefficients. */
  readonly coefficients?: Value
  /**
   * f64 `[6]`, no gradient: the ridge that was used, its share of the trace, smallest and largest pivot (their ratio is at least 1 / condition
   * number), tries that failed (each made the ridge ten times larger; 6: given up, the solution is NaN), and ||M A - Y|| / ||Y||.
   */
  readonly info: Value
}

export interface RidgeHeadOptions {
  /** 'dual' factors n x n, 'primal' d x d; 'auto' (default) the smaller of the two. */
  readonly route?: 'auto' | 'dual' | 'primal'
}

/** Throws `invalid_option` unless c > 0 (c = 0 is no ridge: a matrix of lower rank would have no solution). */
export function checkRidge(what: string, ridge: Ridge): void {
  checkOptions(what, ridge, { c: true, scale: true, detach: true })
  const { c, scale, detach } = ridge
  if (!(Number.isFinite(c) && c > 0))
    throw expected('invalid_option', `${what}: c`, 'a number above 0', c, 'rows that repeat need a ridge; 1e-6 is usual')
  if (!ridgeScales.includes(scale)) throw expected('invalid_option', `${what}: scale`, ridgeScales.join(', '), scale)
  if (typeof detach !== 'boolean') throw expected('invalid_option', `${what}: detach`, 'true or false', detach)
}

const tiny = 1e-300

/** The ridge for a trace, both f64 `[]`; n is the number of rows whatever the route. */
function ridgeOf({ c, scale, detach }: Ridge, trace: Value, n: number): Value {
  if (scale === 'absolute') return scalar(c, 'f64', trace.node.graph)
  const ridge = mul(trace, scale === 'trace' ? c : c / n)
  return detach ? stopGradient(ridge) : ridge
}

interface Factored {
  readonly system: RidgeSystem
  /** The first five numbers of `info`. */
  readonly known: Value
}

/** Factors matrix + ridge I, and says what M is made of. */
function factored(form: RidgeForm, x: Value, matrix: Value, ridge: Value, trace: Value): Factored {
  const { factor, info } = cholesky(stopGradient(matrix), stopGradient(ridge))
  const at = (place: number) => slice(info, [place], [place + 1])
  // The multiplier is a power of ten, so the derivative with respect to the first ridge is right after a failure too.
  const used = mul(ridge, reshape(stopGradient(at(0)), []))
  const share = div(used, maximum(trace, tiny))
  const known = concat([...[used, share].map((v) => reshape(stopGradient(v), [1])), slice(info, [1])])
  return { system: { form, x, ridge: used, factor }, known }
}

/** `known` and the residual of `solution`. */
function infoOf({ system, known }: Factored, matrix: Value, solution: Value, b: Value): Value {
  const [a, right] = [solution, b].map(stopGradient)
  const residual = sub(add(matmul(stopGradient(matrix), a), mul(a, stopGradient(system.ridge))), right)
  const relative = div(sqrt(squaredNorm(residual)), maximum(sqrt(squaredNorm(right)), tiny))
  return stopGradient(concat([known, reshape(relative, [1])]))
}

/** Of a square matrix. */
function diagonal(matrix: Value): Value {
  const [n] = matrix.shape
  return slice(reshape(matrix, [n * n]), [0], [n * n], [n + 1])
}

function checkPair(what: string, x: Value, xLayout: string, targets: Value): void {
  if (x?.shape?.length !== 2) throw expected('invalid_shape', what, `${xLayout} with two axes`, x?.shape && formatShape(x.shape))
  if (targets?.shape?.length !== 2 || targets.shape[0] !== x.shape[0])
    throw expected(
      'invalid_shape',
      `${what}: targets`,
      `[${x.shape[0]},k], a row for each row`,
      targets?.shape && formatShape(targets.shape),
    )
  for (const [name, { dtype }] of Object.entries({ [xLayout]: x, targets }))
    if (dtype !== 'f32' && dtype !== 'f64') throw expected('invalid_dtype', `${what}: ${name}`, 'f32 or f64', dtype)
}

/**
 * The linear head that ridge regression gives: features phi f32 or f64 `[n,d]` and targets f32 or f64 `[n,k]`, W = phi^T (phi phi^T + ridge I)^-1 Y,
 * or the same as (phi^T phi + ridge I)^-1 phi^T Y. Sums over features are float64 in any case; the trace is that of phi phi^T on both routes.
 * Differentiable in phi, targets and, unless detached, through the ridge.
 */
export function ridgeHead(phi: Value, targets: Value, ridge: Ridge, options: RidgeHeadOptions = {}): RidgeHead {
  const what = 'ridgeHead'
  checkOptions(what, options, { route: true })
  checkRidge(`${what}: ridge`, ridge)
  checkPair(what, phi, 'phi [n,d]', targets)
  const { route = 'auto' } = options
  if (!['auto', 'dual', 'primal'].includes(route)) throw expected('invalid_option', `${what}: route`, 'auto, dual or primal', route)
  const [n, d] = phi.shape
  const y = cast(targets, 'f64')
  const primal = route === 'primal' || (route === 'auto' && d < n)
  const matrix = gram(primal ? transpose(stopGradient(phi), [1, 0]) : stopGradient(phi))
  // both matrices have the trace of phi phi^T on their diagonal; where the ridge is differentiated phi itself is asked
  const trace = ridge.detach ? sum(diagonal(matrix)) : squaredNorm(cast(phi, 'f64'))
  const size = ridgeOf(ridge, trace, n)
  if (primal) {
    const made = factored('primal', phi, matrix, size, trace)
    const b = matmul(cast(phi, 'f64'), y, { transposeA: true })
    const solution = ridgeSolution(made.system, b)
    return { weights: cast(solution, phi.dtype), info: infoOf(made, matrix, solution, b) }
  }
  const made = factored('dual', phi, matrix, size, trace)
  const { weights, coefficients } = ridgeWeights(made.system, y)
  return { weights, coefficients, info: infoOf(made, matrix, coefficients, y) }
}

/**
 * A = (K + ridge I)^-1 Y for a symmetric kernel f64 `[n,n]` and targets f32 or f64 `[n,k]` -> f64 `[n,k]`, with `info` as in `RidgeHead`.
 * Differentiable in the kernel (the gradient is symmetric, and on the diagonal has that through the ridge, unless it is detached) and in the
 * targets.
 */
export function kernelRidgeSolve(kernel: Value, targets: Value, ridge: Ridge): { readonly coefficients: Value; readonly info: Value } {
  const what = 'kernelRidgeSolve'
  checkRidge(`${what}: ridge`, ridge)
  checkPair(what, kernel, 'kernel [n,n]', targets)
  const [n, columns] = kernel.shape
  if (kernel.dtype !== 'f64') throw expected('invalid_dtype', `${what}: kernel`, 'f64', kernel.dtype, 'convert it with cast()')
  if (columns !== n) throw expected('invalid_shape', `${what}: kernel`, 'a square matrix', formatShape(kernel.shape))
  const y = cast(targets, 'f64')
  const trace = sum(diagonal(kernel))
  const made = factored('kernel', kernel, kernel, ridgeOf(ridge, trace, n), trace)
  const coefficients = ridgeSolution(made.system, y)
  return { coefficients, info: infoOf(made, kernel, coefficients, y) }
}
