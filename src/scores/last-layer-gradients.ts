/** @file Gradients of the cross-entropy in the last linear layer, one row per sample: what CRAIG and GradMatch compare. */
import { AludelError, expected } from '../errors.js'
import { Turn } from '../event-loop.js'
import { type LogitBatch, readerOf } from './logits.js'
import { checkFiniteMatrix, type Matrix, rowsPerTurn } from './matrix.js'

export interface GradientBatch extends Pick<LogitBatch, 'logits' | 'labels'> {
  /** [n, width], the inputs of the last linear layer. */
  readonly features?: Matrix
}

/**
 * Rows p - y, [n, classes]: the gradient in the bias; with `features` rows (p - y) [h, 1], [n, classes (width + 1)], class by class: that
 * in weights and bias. float64. Throws `invalid_option`, `invalid_shape`, `detached`, `invalid_index` (a label), `not_finite`,
 * `out_of_memory`.
 */
export async function lastLayerGradients({ logits, labels, features }: GradientBatch): Promise<Matrix> {
  const what = 'lastLayerGradients'
  const read = readerOf(what, { logits, labels }, [])
  await checkFiniteMatrix(`${what}: logits`, logits)
  const [n, classes] = logits.shape
  if (features) {
    await checkFiniteMatrix(`${what}: features`, features)
    if (features.shape[0] !== n) throw expected('invalid_shape', `${what}: features`, `${n} rows`, features.shape[0])
  }
  const inputs = features ? features.shape[1] + 1 : 1
  const width = classes * inputs
  const data = allocate(what, n, width)
  const turn = new Turn()
  const step = rowsPerTurn(width)
  for (let i = 0; i < n; i++) {
    if (i % step === 0) await turn.breathe()
    const { probabilities, label } = read(i)
    for (let c = 0; c < classes; c++) {
      const error = probabilities[c] - (c === label ? 1 : 0)
      const at = i * width + c * inputs
      for (let d = 0; d < inputs - 1; d++) data[at + d] = error * (features as Matrix).data[i * (inputs - 1) + d]
      data[at + inputs - 1] = error
    }
  }
  return { data, shape: [n, width] }
}

function allocate(what: string, n: number, width: number): Float64Array {
  try {
    return new Float64Array(n * width)
  } catch (cause) {
    const todo = 'leave the features out, or take one class at a time'
    throw new AludelError('out_of_memory', `${what}: ${n} gradients of ${width} numbers need ${8 * n * width} bytes; ${todo}`, { cause })
  }
}
