/** @file Barlow Twins (2103.03230): the cross-correlation of two views' embeddings is to be the identity. */
import { add, mean, mul, rsqrt, square, sub, sum, type Value } from '../../engine/index.js'
import { centred, crossProduct } from './embeddings.js'

export interface BarlowTwinsOptions {
  /** Weight of what is off the diagonal; 0.0051. */
  readonly lambda: number
  /** Factor of the whole; 0.1 as in solo-learn, 1 as in the paper. */
  readonly scale: number
}

/** Of the batch norm before the correlation, which has no scale and shift of its own. */
const eps = 1e-5

/** scale [sum_i (1 - C_ii)² + lambda sum_{i≠j} C_ij²], C = z1ᵀz2 / N of batch-normalised z [N, D] (biased variance) -> []. */
export function barlowTwins(z1: Value, z2: Value, { lambda, scale }: BarlowTwinsOptions): Value {
  const { diagonal, offDiagonal } = crossProduct(standardised(z1), standardised(z2), z1.shape[0])
  return mul(add(sum(square(sub(1, diagonal))), mul(offDiagonal, lambda)), scale)
}

function standardised(z: Value): Value {
  const rows = centred(z)
  return mul(rows, rsqrt(add(mean(square(rows), { axes: [0], keep: true }), eps)))
}
