/** @file What several objectives do to embeddings [N, D] before they compare them. */
import { div, matmul, maximum, mean, mul, reshape, rsqrt, square, squaredNorm, sub, sum, type Value } from '../../engine/index.js'

/** PyTorch's `normalize`: rows are divided by their norm, or by 1e-12 where that is larger; squared here. */
const leastSquare = 1e-24

/** Rows of length 1: z [N, D] -> [N, D]. */
export const unitRows = (z: Value): Value => mul(z, reshape(rsqrt(maximum(squaredNorm(z, { axes: [1] }), leastSquare)), [z.shape[0], 1]))

/** z [N, D] minus the mean of each column. */
export const centred = (z: Value): Value => sub(z, mean(z, { axes: [0], keep: true }))

/** Sum of the squares off the diagonal of aᵀb / count, and the diagonal [D]; a, b [N, D]. */
export function crossProduct(a: Value, b: Value, count: number): { readonly diagonal: Value; readonly offDiagonal: Value } {
  const diagonal = div(sum(mul(a, b), { axes: [0] }), count)
  const all = squaredNorm(div(matmul(a, b, { transposeA: true, precision: 'f32' }), count))
  return { diagonal, offDiagonal: sub(all, sum(square(diagonal))) }
}
