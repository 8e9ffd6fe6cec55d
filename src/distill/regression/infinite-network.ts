/** @file Kernels of infinitely wide fully connected ReLU networks, NNGP and NTK, in float64 (NTK parameterisation; KIP 2011.00050). */
import {
  abs,
  add,
  cast,
  div,
  equal,
  greater,
  iota,
  matmul,
  maximum,
  mul,
  reshape,
  select,
  sign,
  sqrt,
  square,
  stopGradient,
  sub,
  sum,
  type Value,
} from '../../engine/index.js'
import { angleOf } from './arc-cosine.js'

export const kernelKinds = ['ntk', 'nngp'] as const
export type KernelKind = (typeof kernelKinds)[number]

export interface InfiniteNetwork {
  readonly kernel: KernelKind
  /** Hidden layers, >= 1. */
  readonly depth: number
  /** Variances of weights and biases, W² and b². KIP: 2 and 0.01. */
  readonly weightVariance: number
  readonly biasVariance: number
}

/** Rows whose cosine is off 1 by less than products of thousands of numbers are rounded by are taken as one: their angle would be the root of an error. */
const rounding = 5e-15

/** Least variance, whose products are divided by: an image of zeros without a bias has none. */
const tiny = 1e-100

/** K [m, n] of a f64 [m, d] against b f64 [n, d]; differentiable, once, in both. Finite where rows coincide. */
export function infiniteKernel(network: InfiniteNetwork, a: Value, b: Value): Value {
  return layers(network, matmul(a, b, { transposeB: true }), { rows: squaredRows(a), columns: squaredRows(b), width: a.shape[1] })
}

/** K [n, n] of x f64 [n, d] against itself: angles on the diagonal are 0, not what rounding makes of them. */
export function infiniteKernelOf(network: InfiniteNetwork, x: Value): Value {
  const squares = squaredRows(x)
  return layers(network, matmul(x, x, { transposeB: true }), { rows: squares, columns: squares, width: x.shape[1], same: true })
}

const squaredRows = (x: Value): Value => sum(square(x), { axes: [1] })

interface Sides {
  /** Squared norms of the rows of both sides, [m] and [n]. */
  readonly rows: Value
  readonly columns: Value
  /** Numbers of one image. */
  readonly width: number
  /** Both sides are one. */
  readonly same?: boolean
}

/**
 * q = W² x·x'/D + b²; then for each layer T = sqrt(ss')/(2 pi) (sin θ + (pi - θ) c), T' = (pi - θ)/(2 pi), q = W² T + b², Θ = q + W² T' Θ and
 * s = W² s/2 + b² (specification section 9.2).
 */
function layers(
  { kernel, depth, weightVariance, biasVariance }: InfiniteNetwork,
  products: Value,
  { rows, columns, width, same }: Sides,
): Value {
  const affine = (x: Value, factor: number): Value => add(mul(x, factor), biasVariance)
  let covariance = affine(products, weightVariance / width)
  let [left, right] = [rows, columns].map((squares) => maximum(affine(squares, weightVariance / width), tiny))
  let tangent = covariance
  const diagonal = same ? identity(rows.shape[0]) : undefined
  for (let layer = 0; layer < depth; layer++) {
    const { activation, derivative } = reluCovariance(covariance, left, right, diagonal)
    covariance = affine(activation, weightVariance)
    if (kernel === 'ntk') tangent = add(covariance, mul(mul(derivative, tangent), weightVariance))
    ;[left, right] = [affine(left, weightVariance / 2), affine(right, weightVariance / 2)]
  }
  return kernel === 'ntk' ? tangent : covariance
}

/** 1 on the diagonal, f32 [n, n]. */
const identity = (n: number): Value => equal(cast(iota([n, n], 0), 'f32'), cast(iota([n, n], 1), 'f32'))

/**
 * E[relu(u) relu(v)] and E[relu'(u) relu'(v)] of normal pairs of covariance q [m, n] and variances s [m], s' [n]. The derivatives are those of
 * section 9.2, put beside the values: dT/dq = T', dT/dn = sin θ/(2 pi) for n = sqrt(ss'), dT'/dc = 1/(2 pi sin θ), which is taken as 0 where
 * sin θ is: going through the angle would give NaN there.
 */
function reluCovariance(covariance: Value, left: Value, right: Value, diagonal: Value | undefined) {
  const [m, n] = covariance.shape
  const norms = sqrt(mul(reshape(left, [m, 1]), reshape(right, [1, n])))
  const cosine = div(covariance, norms)
  // values first, of what has no gradient
  const c = stopGradient(cosine)
  const clipped = select(greater(abs(c), 1 - rounding), sign(c), c)
  const { angle, sine } = angleOf(clipped)
  const share = mul(sub(Math.PI, angle), 1 / (2 * Math.PI))
  const arc = mul(sine, 1 / (2 * Math.PI))
  const value = mul(stopGradient(norms), add(arc, mul(share, clipped)))
  const flat = equal(sine, 0)
  const slope = select(flat, 0, div(1 / (2 * Math.PI), select(flat, 1, sine)))
  const moved = (x: Value): Value => sub(x, stopGradient(x))
  const activation = add(value, add(mul(share, moved(covariance)), mul(arc, moved(norms))))
  const derivative = add(share, mul(slope, moved(cosine)))
  if (!diagonal) return { activation, derivative }
  return { activation: select(diagonal, mul(norms, 0.5), activation), derivative: select(diagonal, 0.5, derivative) }
}
