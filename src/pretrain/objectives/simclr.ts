/** @file SimCLR (2002.05709): NT-Xent over the rows of both views. */
import { concat, constant, div, iota, matmul, mean, mul, oneHot, softmaxCe, sub, type Value } from '../../engine/index.js'
import { unitRows } from './embeddings.js'

export interface SimclrOptions {
  /** 0.2 as in solo-learn. */
  readonly temperature: number
}

/** Taken off a row's similarity with itself: it has no share of the softmax. */
const excluded = 1e9

/** Mean over the 2N rows of the cross-entropy of a row's partner among all others, by cosine / temperature; z [N, D] -> []. */
export function ntXent(z1: Value, z2: Value, { temperature }: SimclrOptions): Value {
  const n = z1.shape[0]
  const rows = unitRows(concat([z1, z2]))
  const similarity = div(matmul(rows, rows, { transposeB: true, precision: 'f32' }), temperature)
  const others = sub(similarity, mul(oneHot(iota([2 * n]), 2 * n), excluded))
  const partner = constant(
    Array.from({ length: 2 * n }, (_, i) => (i + n) % (2 * n)),
    [2 * n],
    'i32',
  )
  return mean(softmaxCe(others, partner).loss)
}
