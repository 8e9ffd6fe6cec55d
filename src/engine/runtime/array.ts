/** @file Arrays that live on a device. */
import { AludelError, expected } from '../../errors.js'
import { allocate, bytesPerElement, type DType, dtypeOf, isDetached, isUnsteady, type TypedArray } from '../tensor/dtype.js'
import { formatShape, type Shape, sizeOf } from '../tensor/shape.js'
import { fromNative } from './failure.js'
import type { NativeBuffer } from './native-types.js'

const views = { f32: Float32Array, f64: Float64Array, i32: Int32Array, u32: Uint32Array, u8: Uint8Array } as const

/**
 * A dense row-major array in device memory, made by `device.array`. Transfers queue with the device's runs: a read sees every run
 * submitted before it. Dispose it when done; closing the device does it too. Disposing twice is silent, use after is `disposed`.
 */
export class DeviceArray {
  readonly dtype: DType
  readonly shape: Shape
  readonly bytes: number
  #native: NativeBuffer | undefined

  /** Internal: use `device.array`. */
  constructor(dtype: DType, shape: Shape, native: NativeBuffer) {
    this.dtype = dtype
    this.shape = Object.freeze([...shape])
    this.bytes = sizeOf(shape) * bytesPerElement(dtype)
    this.#native = native
  }

  get disposed(): boolean {
    return this.#native === undefined
  }

  /** Internal: the native buffer; throws `disposed`. */
  get native(): NativeBuffer {
    if (this.#native === undefined) throw new AludelError('disposed', `${this}: used after dispose`)
    return this.#native
  }

  /**
   * Overwrites the array with as many elements of the same dtype, in row-major order. The data is copied before the call returns, that of
   * shared memory or of a resizable buffer too: what other threads write during the call may or may not be seen.
   * Throws `invalid_dtype`, `invalid_shape`, `detached`, `disposed`, `out_of_memory`.
   */
  async write(data: TypedArray): Promise<void> {
    const native = this.native
    const steady = checkedData(`${this}.write`, this.dtype, this.shape, data)
    const site = new Error()
    try {
      await native.write(0, steady)
    } catch (failure) {
      throw fromNative(failure, `${this}.write`, { site })
    }
  }

  /**
   * Overwrites elements from `first` on with those of `data`, which is copied before the call returns. Throws as `write` does, and
   * `invalid_shape` when they do not fit.
   */
  async writeAt(first: number, data: TypedArray): Promise<void> {
    const native = this.native
    const what = `${this}.writeAt`
    if (!Number.isInteger(first) || first < 0 || first + data.length > sizeOf(this.shape))
      throw expected('invalid_shape', what, `elements within ${sizeOf(this.shape)}`, `${data.length} from ${first} on`)
    const steady = checkedData(what, this.dtype, [data.length], data)
    const site = new Error()
    try {
      await native.write(first * bytesPerElement(this.dtype), steady)
    } catch (failure) {
      throw fromNative(failure, what, { site })
    }
  }

  /** The elements in row-major order, as a typed array of the array's dtype. */
  async read(): Promise<TypedArray> {
    const native = this.native
    const site = new Error()
    try {
      return new views[this.dtype](await native.read(0, this.bytes))
    } catch (failure) {
      throw fromNative(failure, `${this}.read`, { site })
    }
  }

  /** `count` elements from `first` on. Throws `invalid_shape` when there are not so many, `disposed`. */
  async readAt(first: number, count: number): Promise<TypedArray> {
    const native = this.native
    const what = `${this}.readAt`
    if (![first, count].every((n) => Number.isInteger(n) && n >= 0) || first + count > sizeOf(this.shape))
      throw expected('invalid_shape', what, `elements within ${sizeOf(this.shape)}`, `${count} from ${first} on`)
    const site = new Error()
    const size = bytesPerElement(this.dtype)
    try {
      return new views[this.dtype](await native.read(first * size, count * size))
    } catch (failure) {
      throw fromNative(failure, what, { site })
    }
  }

  /** Copies another array of the same dtype and shape on the same device into this one, on the device. */
  async copyFrom(source: DeviceArray): Promise<void> {
    if (!(source instanceof DeviceArray)) throw expected('invalid_option', `${this}.copyFrom`, 'a DeviceArray', source)
    if (source.dtype !== this.dtype || formatShape(source.shape) !== formatShape(this.shape)) {
      throw expected(
        'invalid_shape',
        `${this}.copyFrom`,
        `${this.dtype} ${formatShape(this.shape)}`,
        `${source.dtype} ${formatShape(source.shape)}`,
      )
    }
    const site = new Error()
    try {
      await this.native.copyFrom(source.native)
    } catch (failure) {
      throw fromNative(failure, `${this}.copyFrom`, { site })
    }
  }

  dispose(): void {
    this.#native?.dispose()
    this.#native = undefined
  }

  toString(): string {
    return `DeviceArray ${this.dtype} ${formatShape(this.shape)}`
  }
}

/**
 * `data`, after it was found to be an attached typed array of `dtype` with exactly the elements of `shape`. What may change while it is
 * read is copied first: native code takes memory that stays as it is.
 */
export function checkedData(what: string, dtype: DType, shape: Shape, data: TypedArray): TypedArray {
  const received = dtypeOf(data)
  if (received !== dtype) throw expected('invalid_dtype', what, `${views[dtype].name} for dtype ${dtype}`, nameOf(data))
  if (isDetached(data.buffer))
    throw new AludelError('detached', `${what}: the typed array's buffer was transferred away; write it before transferring`)
  if (data.length !== sizeOf(shape))
    throw expected('invalid_shape', what, `${sizeOf(shape)} elements for shape ${formatShape(shape)}`, data.length)
  if (!isUnsteady(data.buffer)) return data
  return steadyCopy(what, dtype, shape, data)
}

function steadyCopy(what: string, dtype: DType, shape: Shape, data: TypedArray): TypedArray {
  try {
    const copy = allocate(dtype, sizeOf(shape))
    copy.set(data)
    return copy
  } catch (cause) {
    throw new AludelError('out_of_memory', `${what}: the copy of the data needs ${data.byteLength} bytes`, { cause })
  }
}

const nameOf = (data: unknown): string =>
  data === null || data === undefined ? String(data) : (Object(data).constructor?.name ?? 'object')
