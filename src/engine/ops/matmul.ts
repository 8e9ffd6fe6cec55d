/** @file Matrix products over equal leading batch dimensions. */
import { checkOptions } from '../../arguments.js'
import { expected } from '../../errors.js'
import type { Attrs, TensorType, Value } from '../graph/node.js'
import { formatShape, sameShape, sizeOf } from '../tensor/shape.js'
import { emitOne } from './build.js'
import { checkArity, checkFloats } from './check.js'
import { defineOp } from './define.js'
import { zeros } from './reference-tensor.js'
import { sliceRule } from './slicing.js'

export interface MatmulOptions {
  readonly transposeA?: boolean
  readonly transposeB?: boolean
  /** Float32 operands are multiplied as they are, whatever the precision of the device; so are they in every derivative of the product. */
  readonly precision?: 'f32'
}

/** op(a) op(b) for a `[…,M,K]` and b `[…,K,N]` (or their last two axes swapped, as the options say) -> `[…,M,N]`; f32 or f64. */
export function matmul(a: Value, b: Value, options: MatmulOptions = {}): Value {
  checkOptions('matmul', options, { transposeA: true, transposeB: true, precision: true })
  const { transposeA = false, transposeB = false, precision } = options
  if (precision !== undefined && precision !== 'f32')
    throw expected('invalid_option', 'matmul: precision', "'f32', or none for that of the device", precision)
  // float64 is never rounded to less
  return emitOne('matmul', [a, b], { transposeA, transposeB, ...(precision && a?.dtype === 'f32' && { precision }) })
}

/** Rows and columns after the transposition that the attributes ask for. */
function matrices(a: TensorType, b: TensorType, attrs: Attrs) {
  const [aRows, aColumns] = a.shape.slice(-2)
  const [bRows, bColumns] = b.shape.slice(-2)
  const [m, k] = attrs.transposeA ? [aColumns, aRows] : [aRows, aColumns]
  const [inner, n] = attrs.transposeB ? [bColumns, bRows] : [bRows, bColumns]
  return { m, k, inner, n, batch: a.shape.slice(0, -2) }
}

const matmulOp = defineOp({
  doc: 'Matrix product of the last two axes; leading axes are equal batch dimensions.',
  type(inputs, attrs) {
    checkArity('matmul', inputs, 2)
    checkFloats('matmul', inputs)
    const [a, b] = inputs
    const { m, k, inner, n, batch } = matrices(a, b, attrs)
    if (a.shape.length < 2 || k !== inner || !sameShape(batch, b.shape.slice(0, -2))) {
      const shown = `${formatShape(a.shape)}${attrs.transposeA ? ' transposed' : ''} and ${formatShape(b.shape)}${attrs.transposeB ? ' transposed' : ''}`
      throw expected('invalid_shape', 'matmul', 'equal batch dimensions and equal inner dimensions', shown)
    }
    return [{ shape: [...batch, m, n], dtype: a.dtype }]
  },
  vjp({ node, inputs: [a, b], cotangents: [cotangent], needs }) {
    const g = cotangent as Value
    const ta = node.attrs.transposeA === true
    const tb = node.attrs.transposeB === true
    const exact: MatmulOptions = node.attrs.precision === 'f32' ? { precision: 'f32' } : {}
    // With A = op(a), B = op(b): dA = g B^T and dB = A^T g; a transposed operand gets the transposed product.
    const da = () => (ta ? matmul(b, g, { transposeA: tb, transposeB: true, ...exact }) : matmul(g, b, { transposeB: !tb, ...exact }))
    const db = () => (tb ? matmul(g, a, { transposeA: true, transposeB: ta, ...exact }) : matmul(a, g, { transposeA: !ta, ...exact }))
    return [needs[0] ? da() : null, needs[1] ? db() : null]
  },
  reference([a, b], attrs, [y]) {
    const types = [a, b].map((t) => ({ shape: t.shape, dtype: 'f64' as const }))
    const { m, k, n } = matrices(types[0], types[1], attrs)
    const out = zeros(y.shape)
    const [aRow, aInner] = attrs.transposeA ? [1, m] : [k, 1]
    const [bInner, bColumn] = attrs.transposeB ? [1, k] : [n, 1]
    const batches = sizeOf(y.shape.slice(0, -2))
    for (let batch = 0; batch < batches; batch++) {
      for (let i = 0; i < m; i++) {
        const row = (batch * m + i) * n
        for (let p = 0; p < k; p++) {
          const left = a.data[batch * m * k + i * aRow + p * aInner]
          const from = batch * k * n + p * bInner
          for (let j = 0; j < n; j++) out.data[row + j] += left * b.data[from + j * bColumn]
        }
      }
    }
    return [out]
  },
  flops([a, b], [y], attrs) {
    return 2 * sizeOf(y.shape) * matrices(a, b, attrs).k
  },
  encode: ({ transposeA = false, transposeB = false, precision }) => [
    Number(transposeA),
    Number(transposeB),
    ...(precision === 'f32' ? [1] : []),
  ],
  slice: sliceRule(([a, b], { outputs: [y], attrs }) => {
    const rank = y.shape.length
    const [rows, innerA] = attrs.transposeA ? [rank - 1, rank - 2] : [rank - 2, rank - 1]
    const [innerB, columns] = attrs.transposeB ? [rank - 1, rank - 2] : [rank - 2, rank - 1]
    if (a !== null && a < rank - 2) return a === b ? [a] : undefined
    if (a === rows && b === null) return [rank - 2]
    if (a === null && b === columns) return [rank - 1]
    // Both sliced along the contraction: partial products add up.
    return a === innerA && b === innerB ? ['sum'] : undefined
  }),
})

export const matmulOps = { matmul: matmulOp }
