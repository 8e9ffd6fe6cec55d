/** @file What the direct kernels take: typed arrays and strided views, checked and copied at the call, or arrays of a device as they are. */
import { isRecord } from '../arguments.js'
import { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { allocate, type DType, dtypeOf, isDetached, type TypedArray } from '../engine/tensor/dtype.js'
import { checkShape, formatShape, type Shape, sizeOf, stridesOf } from '../engine/tensor/shape.js'
import { AludelError, expected } from '../errors.js'

/** Numbers: Float32Array. Class indices: any array of whole numbers of at most 32 bits. */
export type Elements = Float32Array | Int32Array | Uint32Array | Int16Array | Uint16Array | Int8Array | Uint8Array | Uint8ClampedArray

/**
 * A view of a typed array: element [i, j, …] is data[offset + i stride[0] + j stride[1] + …]. Strides count elements and may be
 * negative or 0; without them the view is dense and row-major. `ndarray` objects are such views, and so are those of `@stdlib/ndarray`,
 * which call the strides `strides`.
 */
export interface ArrayView {
  readonly data: Elements
  readonly shape: readonly number[]
  readonly stride?: readonly number[]
  readonly strides?: readonly number[]
  /** Default 0. */
  readonly offset?: number
}

/** An array of the device that computes, a view, or a typed array by itself (one dimension). */
export type ArrayInput = DeviceArray | ArrayView | Elements

/** An input that was found to be in order; nothing of it is copied yet. */
export interface Operand {
  readonly shape: Shape
  readonly dtype: DType
  readonly source: DeviceArray | (Required<Pick<ArrayView, 'data' | 'offset'>> & { readonly stride: readonly number[] })
}

const integers = [Int32Array, Uint32Array, Int16Array, Uint16Array, Int8Array, Uint8Array, Uint8ClampedArray]

function elementType(what: string, data: unknown): 'f32' | 'i32' {
  // isView: what merely inherits from a typed array has no elements
  if (ArrayBuffer.isView(data)) {
    if (data instanceof Float32Array) return 'f32'
    if (integers.some((type) => data instanceof type)) return 'i32'
  }
  throw expected('invalid_dtype', what, 'a Float32Array or an array of whole numbers of at most 32 bits', data, 'convert it first')
}

/** Throws `invalid_option`, `invalid_dtype`, `invalid_shape`, `detached`, `disposed`. */
export function operandOf(what: string, input: ArrayInput): Operand {
  if (input instanceof DeviceArray) {
    if (input.disposed) throw new AludelError('disposed', `${what}: ${input} was used after dispose`)
    return { shape: input.shape, dtype: input.dtype, source: input }
  }
  if (ArrayBuffer.isView(input)) return viewOperand(what, { data: input, shape: [(input as Elements).length] })
  if (isRecord(input) && 'data' in input && 'shape' in input) return viewOperand(what, input as ArrayView)
  throw expected('invalid_option', what, "a typed array, a view { data, shape } such as an ndarray, or the device's array", input)
}

function viewOperand(what: string, view: ArrayView): Operand {
  // Each property is read once: a getter may give another value the next time.
  const { data, shape: givenShape, stride, strides, offset = 0 } = view
  const dtype = elementType(`${what}: data`, data)
  if (isDetached(data.buffer)) throw detached(what)
  const shape = listOf(givenShape) as number[]
  checkShape(`${what}: shape`, shape)
  // A stride of 0 repeats elements, so that a shape may be of any size.
  if (shape.some((length) => length >= 2 ** 32)) throw expected('invalid_shape', `${what}: shape`, 'dimensions below 2^32', shape)
  const steps = listOf(stride ?? strides ?? stridesOf(shape)) as number[]
  if (!Array.isArray(steps) || steps.length !== shape.length || !steps.every(Number.isSafeInteger))
    throw expected('invalid_shape', `${what}: stride`, `${shape.length} whole numbers for shape ${formatShape(shape)}`, steps)
  if (!Number.isSafeInteger(offset)) throw expected('invalid_shape', `${what}: offset`, 'a whole number', offset)
  let [first, last] = [offset, offset]
  for (const [axis, step] of steps.entries()) {
    if (step < 0) first += step * (shape[axis] - 1)
    else last += step * (shape[axis] - 1)
  }
  if (first < 0 || last >= data.length) {
    throw new AludelError(
      'invalid_shape',
      `${what}: shape ${formatShape(shape)} with these strides takes elements ${first} to ${last}, but the data has ${data.length}; give as many or another shape`,
    )
  }
  return { shape, dtype, source: { data, offset, stride: steps } }
}

const detached = (what: string): AludelError =>
  new AludelError('detached', `${what}: the typed array's buffer was transferred away; keep it until the call has resolved`)

/** The entries of a list; @stdlib/ndarray keeps shapes and strides in plain lists, ndarray may in typed ones. */
const listOf = (list: unknown): unknown =>
  ArrayBuffer.isView(list) || Array.isArray(list) ? [...(list as ArrayLike<unknown> & unknown[])] : list

/** The operand on the device: `array` itself, or a copy of a view, which then is the caller's to dispose. */
export function place(
  what: string,
  device: Device,
  { shape, dtype, source }: Operand,
): { readonly array: DeviceArray; readonly owned: boolean } {
  if (source instanceof DeviceArray) return { array: source, owned: false }
  const { data, offset, stride } = source
  if (isDetached(data.buffer)) throw detached(what)
  const dense = stride.every((step, axis) => shape[axis] === 1 || step === stridesOf(shape)[axis])
  const values =
    dense && dtypeOf(data) === dtype ? (data as TypedArray).subarray(offset, offset + sizeOf(shape)) : packed(what, dtype, shape, source)
  return { array: device.array(dtype, shape, values), owned: true }
}

/** The elements of a view in row-major order, converted to the device's element type. */
function packed(what: string, dtype: DType, shape: Shape, { data, offset, stride }: Exclude<Operand['source'], DeviceArray>): TypedArray {
  let to: TypedArray
  try {
    to = allocate(dtype, sizeOf(shape))
  } catch (cause) {
    throw new AludelError('out_of_memory', `${what}: the copy needs ${sizeOf(shape) * 4} bytes`, { cause })
  }
  const { lengths, steps } = joinedAxes(shape, stride)
  const [run, step] = [lengths[lengths.length - 1], steps[steps.length - 1]]
  let at = 0
  const copy = (axis: number, from: number): void => {
    if (axis < lengths.length - 1) {
      for (let i = 0; i < lengths[axis]; i++) copy(axis + 1, from + i * steps[axis])
    } else if (step === 1) {
      to.set(data.subarray(from, from + run), at)
      at += run
    } else {
      for (let i = 0; i < run; i++) to[at++] = data[from + i * step]
    }
  }
  copy(0, offset)
  return to
}

/** The same walk with fewer axes: those of one element left out, neighbours that continue one another made one. */
function joinedAxes(shape: Shape, stride: readonly number[]): { readonly lengths: number[]; readonly steps: number[] } {
  const [lengths, steps]: [number[], number[]] = [[1], [1]]
  for (const [axis, length] of shape.entries()) {
    if (length === 1) continue
    const last = lengths.length - 1
    if (lengths[last] === 1 || steps[last] === stride[axis] * length) {
      lengths[last] *= length
      steps[last] = stride[axis]
    } else {
      lengths.push(length)
      steps.push(stride[axis])
    }
  }
  return { lengths, steps }
}
