/** @file Element types. The numbers are those of native/core/tensor.h. */

export const dtypes = ['f32', 'f64', 'i32', 'u32', 'u8'] as const
export type DType = (typeof dtypes)[number]

export type TypedArray = Float32Array | Float64Array | Int32Array | Uint32Array | Uint8Array

const constructors = { f32: Float32Array, f64: Float64Array, i32: Int32Array, u32: Uint32Array, u8: Uint8Array } as const

export const bytesPerElement = (dtype: DType): number => constructors[dtype].BYTES_PER_ELEMENT

/** A zeroed typed array of `length` elements. */
export const allocate = (dtype: DType, length: number): TypedArray => new constructors[dtype](length)

/** The dtype of a typed array, or undefined for arrays the engine has no type for. */
export function dtypeOf(array: unknown): DType | undefined {
  // isView: what merely inherits from a typed array (a proxy, an object made of its prototype) has no elements
  return ArrayBuffer.isView(array) ? dtypes.find((dtype) => array instanceof constructors[dtype]) : undefined
}

/** Whether the buffer was transferred away: its length is 0 then, as that of an empty one, but it cannot be viewed any more. */
export function isDetached(buffer: ArrayBufferLike): boolean {
  if (buffer.byteLength > 0) return false
  try {
    new Uint8Array(buffer)
    return false
  } catch {
    return true
  }
}

/** Whether length and content may change under a reader: memory of several threads, or a buffer that can be resized. */
export const isUnsteady = (buffer: ArrayBufferLike): boolean =>
  buffer instanceof SharedArrayBuffer || (buffer as { readonly resizable?: boolean }).resizable === true

/** Values of `source` converted to `dtype` (always a copy). */
export function convert(dtype: DType, source: ArrayLike<number>): TypedArray {
  return constructors[dtype].from(source)
}
