/** @file Rows by index: gather and its transpose scatter_add. */
import { expected } from '../../errors.js'
import type { TensorType, Value } from '../graph/node.js'
import { formatShape, sizeOf } from '../tensor/shape.js'
import { emitOne } from './build.js'
import { checkArity, checkDtype, checkFloats, checkRank, intAttr } from './check.js'
import { defineOp, type RefTensor } from './define.js'
import { zeros } from './reference-tensor.js'
import { sliceRule } from './slicing.js'

/** Rows of x: x `[R,…]`, index i32 `[M]` -> `[M,…]`. Indices out of range are an error at run time. */
export const gather = (x: Value, index: Value): Value => emitOne('gather', [x, index])
/** Sums rows by index: g `[M,…]`, index i32 `[M]` -> `[rows,…]`; rows without an index are zero. */
export const scatterAdd = (g: Value, index: Value, rows: number): Value => emitOne('scatter_add', [g, index], { rows })

export function checkIndex(op: string, index: TensorType): void {
  checkDtype(op, index, 'i32')
  checkRank(op, 'index', index, 1, '[M]')
}

/** Row `i` of an index, or an error as at run time. */
export function rowAt(op: string, index: RefTensor, i: number, rows: number): number {
  const row = index.data[i]
  if (!(row >= 0 && row < rows)) throw expected('invalid_index', op, `indices in [0, ${rows})`, `${row} at position ${i}`)
  return row
}

const gatherOp = defineOp({
  doc: 'Rows of x by index.',
  type(inputs) {
    checkArity('gather', inputs, 2)
    const [x, index] = inputs
    checkIndex('gather', index)
    if (x.shape.length < 1) throw expected('invalid_shape', 'gather', 'x of layout [R,…]', formatShape(x.shape))
    return [{ shape: [index.shape[0], ...x.shape.slice(1)], dtype: x.dtype }]
  },
  vjp: ({ inputs: [x, index], cotangents: [g] }) => [scatterAdd(g as Value, index, x.shape[0]), null],
  reference([x, index], _, [y]) {
    const out = zeros(y.shape)
    const width = out.data.length / y.shape[0]
    for (let i = 0; i < y.shape[0]; i++) {
      const row = rowAt('gather', index, i, x.shape[0])
      out.data.set(x.data.subarray(row * width, (row + 1) * width), i * width)
    }
    return [out]
  },
  flops: () => 0,
  slice: sliceRule(([x, index]) => (index === 0 && x === null ? [0] : index === null && x !== 0 ? [x] : undefined)),
})

const scatterAddOp = defineOp({
  doc: 'Sums rows of g into the rows that the index names: the transpose of gather.',
  type(inputs, attrs) {
    checkArity('scatter_add', inputs, 2)
    const [g, index] = inputs
    checkFloats('scatter_add', [g])
    checkIndex('scatter_add', index)
    if (g.shape[0] !== index.shape[0]) {
      throw expected('invalid_shape', 'scatter_add', `g with ${index.shape[0]} rows, one per index`, formatShape(g.shape))
    }
    return [{ shape: [intAttr('scatter_add', attrs, 'rows', 1), ...g.shape.slice(1)], dtype: g.dtype }]
  },
  vjp: ({ inputs: [, index], cotangents: [u] }) => [gather(u as Value, index), null],
  reference([g, index], _, [y]) {
    const out = zeros(y.shape)
    const width = g.data.length / g.shape[0]
    for (let i = 0; i < g.shape[0]; i++) {
      const to = rowAt('scatter_add', index, i, y.shape[0]) * width
      for (let k = 0; k < width; k++) out.data[to + k] += g.data[i * width + k]
    }
    return [out]
  },
  flops: ([g]) => sizeOf(g.shape),
  slice: sliceRule(([g, index]) => (g === 0 && index === 0 ? ['sum'] : index === null && g !== 0 ? [g] : undefined)),
})

export const gatherOps = { gather: gatherOp, scatter_add: scatterAddOp }
