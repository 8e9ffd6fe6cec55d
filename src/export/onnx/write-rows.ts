/** @file The ONNX forms of ops over rows of any rank, such as sequences of tokens: the batch axis outermost, the others in the engine's order. */
import type { Value } from '../../engine/index.js'
import { type Shape, sizeOf } from '../../engine/tensor/shape.js'
import { type Form, rowShape } from './forms.js'
import type { GraphWriter } from './graph-writer.js'

/** The value as rows in the engine's order; a map is transposed, flattened maps are put back in order. */
export function rowsOf(value: Value, w: GraphWriter): string {
  const form = w.form(value)
  if (form.kind === 'map') return w.node('Transpose', [form.name], { perm: [0, 2, 3, 1] })
  if (!form.order) return form.name
  const [height, width, channels] = form.order
  const map = w.node('Reshape', [form.name, w.shape([-1, channels, height, width])])
  return w.node('Reshape', [w.node('Transpose', [map], { perm: [0, 2, 3, 1] }), w.shape([-1, sizeOf(form.order)])])
}

/** Axes of one that stand before the batch axis. */
const leadingOnes = ({ shape }: Value): number => shape.length - rowShape(shape).length

/** Throws `invalid_option` when the outermost axis is no multiple of the traced batch: images would then mix. */
function checkBatch(value: Value, w: GraphWriter): void {
  if (rowShape(value.shape)[0] % w.rows !== 0) throw w.refuse(value, 'mixes the images of a batch')
}

/** Any reshape that leaves the batch outermost: the same elements in the same order. */
export function reshapeRows(value: Value, w: GraphWriter): Form {
  checkBatch(value, w)
  const [, ...rest] = rowShape(value.shape)
  return { kind: 'rows', name: w.node('Reshape', [rowsOf(value.node.inputs[0], w), w.shape([-1, ...rest])]) }
}

export function transposeRows(value: Value, w: GraphWriter): Form {
  const [x] = value.node.inputs
  const first = leadingOnes(x)
  const permutation = value.node.attrs.permutation as readonly number[]
  if (permutation.slice(0, first + 1).some((axis, i) => axis !== i)) throw w.refuse(value, 'moves the axis of the batch')
  return { kind: 'rows', name: w.node('Transpose', [rowsOf(x, w)], { perm: permutation.slice(first).map((axis) => axis - first) }) }
}

export function padRows(value: Value, w: GraphWriter): Form {
  const [x] = value.node.inputs
  const first = leadingOnes(x)
  const { before, interior } = value.node.attrs as Readonly<Record<string, Shape>>
  const after = value.shape.map((d, i) => d - before[i] - x.shape[i])
  if (interior.some((n) => n !== 0)) throw w.refuse(value, 'puts zeros between elements')
  if ([before, after].some((list) => list.slice(0, first + 1).some((n) => n !== 0))) throw w.refuse(value, 'pads the batch')
  return { kind: 'rows', name: w.node('Pad', [rowsOf(x, w), w.shape([...before.slice(first), ...after.slice(first)])]) }
}

export function sliceRows(value: Value, w: GraphWriter): Form {
  const [x] = value.node.inputs
  const first = leadingOnes(x)
  const { starts, steps } = value.node.attrs as Readonly<Record<string, Shape>>
  if (x.shape.slice(0, first + 1).some((d, i) => value.shape[i] !== d)) throw w.refuse(value, 'takes a part of the batch')
  const axes = x.shape.map((_, i) => i).slice(first + 1)
  const list = (of: (axis: number) => number) => w.shape(axes.map(of))
  const ends = list((axis) => starts[axis] + (value.shape[axis] - 1) * steps[axis] + 1)
  const inputs = [rowsOf(x, w), list((axis) => starts[axis]), ends, list((axis) => axis - first), list((axis) => steps[axis])]
  return { kind: 'rows', name: w.node('Slice', inputs) }
}

/** Products of matrices that both depend on the images, such as queries and keys. */
export function productOfRows(value: Value, w: GraphWriter): Form {
  const { inputs, attrs } = value.node
  const operands = inputs.map((v, i) => {
    const rank = rowShape(v.shape).length
    if (!w.varies(v) || rank < 3 || leadingOnes(v) !== leadingOnes(value)) throw w.refuse(value, 'is no product of rows with parameters')
    const axes = Array.from({ length: rank }, (_, axis) => axis)
    const swapped = [...axes.slice(0, -2), rank - 1, rank - 2]
    return attrs[i === 0 ? 'transposeA' : 'transposeB'] ? w.node('Transpose', [rowsOf(v, w)], { perm: swapped }) : rowsOf(v, w)
  })
  return { kind: 'rows', name: w.node('MatMul', operands) }
}

/** Sums (or largest values) over axes behind that of the batch. */
export function reducedAxes(value: Value, w: GraphWriter): readonly number[] {
  const [x] = value.node.inputs
  const first = leadingOnes(x)
  const axes = value.node.attrs.axes as readonly number[]
  if (axes.some((axis) => axis <= first)) throw w.refuse(value, 'reduces the axis of the batch')
  return axes.map((axis) => axis - first)
}

/** Normalisation over the channels of rows, as maps of one pixel [N, C, 1, 1]: ONNX has an operator for that. */
export function layerNormOfPixels(x: Value, [scale, shift]: readonly string[], eps: number, w: GraphWriter): Form {
  return { kind: 'map', name: w.node('LayerNormalization', [w.map(x), scale, shift], { axis: 1, epsilon: { float: eps } }) }
}

export const onePixel = ([, , height, width]: Shape): boolean => height * width === 1
