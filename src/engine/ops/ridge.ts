/**
 * @file Solutions of ridge regression with the derivative in closed form: two solves with the same factor, never a derivative of the
 * factorisation. The values are made by other ops; these two say what they depend on, and are gone when a graph is compiled.
 */
import { checkOptions } from '../../arguments.js'
import { AludelError, expected } from '../../errors.js'
import type { TensorType, Value } from '../graph/node.js'
import { emit, emitOne } from './build.js'
import { checkArity } from './check.js'
import { choleskySolve } from './cholesky.js'
import { defineOp } from './define.js'
import { add, cast, mul, neg, sub } from './elementwise.js'
import { matmul } from './matmul.js'
import { stopGradient, transpose } from './movement.js'
import { sum } from './reduce.js'

/** What M is made of: 'kernel' M = x + ridge I; 'dual' M = x x^T + ridge I; 'primal' M = x^T x + ridge I. */
export const ridgeForms = ['kernel', 'dual', 'primal'] as const
export type RidgeForm = (typeof ridgeForms)[number]

/** M, and what its factor was made of. */
export interface RidgeSystem {
  readonly form: RidgeForm
  /** f64 `[n,n]` ('kernel'), or features f32 or f64 `[n,d]`. */
  readonly x: Value
  /** f64 `[]`: the ridge that the factor has. */
  readonly ridge: Value
  /** f64, L of `cholesky`. */
  readonly factor: Value
}

/** M^-1 b, f64, differentiable in b, x and ridge. With B = M^-1 g: d b = B, d M = -B A^T (made symmetric), d ridge = -<A, B>. */
export function ridgeSolution(system: RidgeSystem, b: Value): Value {
  checkOptions<RidgeSystem>('ridgeSolution: system', system, { form: true, x: true, ridge: true, factor: true })
  const { form, x, ridge, factor } = system
  if (!ridgeForms.includes(form)) throw expected('invalid_option', 'ridgeSolution: form', ridgeForms.join(', '), form)
  const fixed = stopGradient(factor)
  return emitOne('ridge_solution', [stopGradient(choleskySolve(fixed, b)), x, ridge, fixed, b], { form: ridgeForms.indexOf(form) })
}

/**
 * A = M^-1 b and W = x^T A of the dual form; W has the dtype of x, its sums are float64. With G the cotangent of W, B = M^-1 (x G + g):
 * d b = B, d x = A (G - x^T B)^T - B W^T, d ridge = -<A, B>. The wide products of d x are of the dtype of x, all else is float64.
 * No product is rounded to less on a GPU.
 */
export function ridgeWeights(system: Omit<RidgeSystem, 'form'>, b: Value): { weights: Value; coefficients: Value } {
  checkOptions<Partial<RidgeSystem>>('ridgeWeights: system', system, { form: true, x: true, ridge: true, factor: true })
  const { x, ridge, factor } = system
  const fixed = stopGradient(factor)
  const solved = stopGradient(choleskySolve(fixed, b))
  const made = stopGradient(cast(matmul(cast(x, 'f64'), solved, { transposeA: true }), x.dtype))
  const [weights, coefficients] = emit('ridge_weights', [made, solved, x, ridge, fixed, b])
  return { weights, coefficients }
}

const inner = (a: Value, b: Value): Value => sum(mul(a, b))

/** The cotangent of x for that of M, -B A^T. */
function systemCotangent(form: RidgeForm, x: Value, a: Value, b: Value): Value {
  const [left, right] = [b, a].map((v) => cast(v, x.dtype))
  if (form === 'kernel') {
    const product = matmul(left, right, { transposeB: true, precision: 'f32' })
    return mul(add(product, transpose(product, [1, 0])), -0.5)
  }
  // Coefficients meet x as x^T v, weights as x v.
  const [leftSide, rightSide] = [left, right].map((v) => matmul(x, v, { transposeA: form === 'dual', precision: 'f32' }))
  const pairs = form === 'dual' ? [left, rightSide, right, leftSide] : [leftSide, right, rightSide, left]
  const [first, second] = [0, 2].map((i) => matmul(pairs[i], pairs[i + 1], { transposeB: true, precision: 'f32' }))
  return neg(add(first, second))
}

const formOf = (attrs: { readonly form?: unknown }): RidgeForm => ridgeForms[attrs.form as number]

const ridgeSolutionOp = defineOp({
  doc: 'The solution of a ridge regression, with its closed-form derivative; its first input.',
  alias: true,
  type(inputs, attrs) {
    checkArity('ridge_solution', inputs, 5)
    if (!formOf(attrs)) throw new AludelError('internal', `ridge_solution: no form ${attrs.form}`)
    return [inputs[0]]
  },
  differentiable: [1, 2, 4],
  vjp({ node, inputs: [, x, ridge, factor, b], outputs: [a], cotangents: [g], needs }) {
    const form = formOf(node.attrs)
    const back = ridgeSolution({ form, x, ridge, factor }, g as Value)
    return [
      null,
      needs[1] ? systemCotangent(form, x, a, back) : null,
      needs[2] ? neg(inner(a, back)) : null,
      null,
      needs[4] && b ? back : null,
    ]
  },
  reference: ([solved]) => [solved],
  flops: () => 0,
})

const ridgeWeightsOp = defineOp({
  doc: 'Weights and coefficients of a ridge regression on features, with their closed-form derivative; its first two inputs.',
  alias: true,
  type(inputs) {
    checkArity('ridge_weights', inputs, 6)
    return inputs.slice(0, 2) as TensorType[]
  },
  differentiable: [2, 3, 5],
  vjp({ inputs: [, , x, ridge, factor, b], outputs: [weights, a], cotangents: [g, own], needs }) {
    const through = g && matmul(cast(x, 'f64'), cast(g, 'f64'))
    const back = ridgeSolution({ form: 'dual', x, ridge, factor }, through && own ? add(through, own) : (through ?? (own as Value)))
    const [left, right] = [cast(back, x.dtype), cast(a, x.dtype)]
    const rest = matmul(x, left, { transposeA: true, precision: 'f32' })
    const features = () =>
      sub(
        matmul(right, g ? sub(g, rest) : neg(rest), { transposeB: true, precision: 'f32' }),
        matmul(left, weights, { transposeB: true, precision: 'f32' }),
      )
    return [null, null, needs[2] ? features() : null, needs[3] ? neg(inner(a, back)) : null, null, needs[5] && b ? back : null]
  },
  reference: ([weights, coefficients]) => [weights, coefficients],
  flops: () => 0,
})

export const ridgeOps = { ridge_solution: ridgeSolutionOp, ridge_weights: ridgeWeightsOp }
