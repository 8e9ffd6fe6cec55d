/** @file VICReg (2105.04906): views alike, every dimension spread, no two dimensions correlated. */
import { add, div, mean, mul, relu, sqrt, square, squaredNorm, sub, sum, type Value } from '../../engine/index.js'
import { centred, crossProduct } from './embeddings.js'

export interface VicregOptions {
  /** Weights of invariance (25), variance (25) and covariance (1). */
  readonly invariance: number
  readonly variance: number
  readonly covariance: number
  /** Whether the variance term is the mean of both views' (the paper's code) or their sum (solo-learn). */
  readonly stdHalf: boolean
}

/** Added to the variance under its root. */
const eps = 1e-4

/** invariance mse + variance Σ mean(relu(1 - std)) + covariance Σ sum_{i≠j} cov_ij² / D, unbiased; z [N, D] -> []. */
export function vicreg(z1: Value, z2: Value, { invariance, variance, covariance, stdHalf }: VicregOptions): Value {
  const [one, two] = [z1, z2].map(spread)
  const hinges = mul(add(one.hinge, two.hinge), stdHalf ? variance / 2 : variance)
  const covariances = mul(add(one.covariance, two.covariance), covariance)
  return add(add(mul(mean(square(sub(z1, z2))), invariance), hinges), covariances)
}

function spread(z: Value): { readonly hinge: Value; readonly covariance: Value } {
  const [n, dim] = z.shape
  const rows = centred(z)
  const std = sqrt(add(div(squaredNorm(rows, { axes: [0] }), n - 1), eps))
  return { hinge: div(sum(relu(sub(1, std))), dim), covariance: div(crossProduct(rows, rows, n - 1).offDiagonal, dim) }
}
