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
  return dtypes.find((dtype) => array instanceof constructors[dtype])
}

/** Values of `source` converted to `dtype` (always a copy). */
export function convert(dtype: DType, source: ArrayLike<number>): TypedArray {
  return constructors[dtype].from(source)
}
