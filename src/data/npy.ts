/** @file One .npy array. The header is a Python literal: it is matched against the three known keys, never evaluated; pickled objects are refused. */
import { sizeOf } from '../engine/tensor/shape.js'
import { AludelError, expected } from '../errors.js'
import { permuteAxes } from '../nn/layout.js'

export interface NpyArray {
  readonly shape: readonly number[]
  /** NumPy's name of the stored type, such as '|u1'. */
  readonly descr: string
  /** Row-major. Bytes stay bytes; integers of up to 32 bits are Int32 or Uint32; those of 64 bits are numbers, exact up to 2^53. */
  readonly data: Uint8Array | Int32Array | Uint32Array | Float32Array | Float64Array
}

type Decode = (bytes: ArrayBuffer, length: number) => NpyArray['data']

const wide = (values: BigInt64Array | BigUint64Array): Float64Array => Float64Array.from(values as BigInt64Array, Number)

const decoders: Readonly<Record<string, { readonly bytes: number; readonly decode: Decode }>> = {
  '<f8': { bytes: 8, decode: (bytes) => new Float64Array(bytes) },
  '<f4': { bytes: 4, decode: (bytes) => new Float32Array(bytes) },
  '<i8': { bytes: 8, decode: (bytes) => wide(new BigInt64Array(bytes)) },
  '<u8': { bytes: 8, decode: (bytes) => wide(new BigUint64Array(bytes)) },
  '<i4': { bytes: 4, decode: (bytes) => new Int32Array(bytes) },
  '<u4': { bytes: 4, decode: (bytes) => new Uint32Array(bytes) },
  '<i2': { bytes: 2, decode: (bytes) => Int32Array.from(new Int16Array(bytes)) },
  '<u2': { bytes: 2, decode: (bytes) => Int32Array.from(new Uint16Array(bytes)) },
  '|i1': { bytes: 1, decode: (bytes) => Int32Array.from(new Int8Array(bytes)) },
  '|u1': { bytes: 1, decode: (bytes) => new Uint8Array(bytes) },
  '|b1': { bytes: 1, decode: (bytes) => new Uint8Array(bytes) },
}

const literal =
  /^\{\s*'descr':\s*'(?<descr>[<>|=]\w+)',\s*'fortran_order':\s*(?<fortran>True|False),\s*'shape':\s*\((?<shape>[\d\s,]*)\),?\s*\}\s*$/

/** One dimension of a shape. Apart from the pattern above, in which repetition within repetition would let a header take for ever. */
const dimension = /^\d{1,9}$/

interface Header {
  readonly descr: string
  readonly fortran: boolean
  readonly shape: readonly number[]
  readonly dataOffset: number
}

const runsPast = (what: string): AludelError => new AludelError('invalid_data', `${what}: the header runs past the end of the array`)

const latin1 = new TextDecoder('latin1')

function parseHeader(what: string, bytes: Uint8Array): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 12 || bytes[0] !== 0x93 || latin1.decode(bytes.subarray(1, 6)) !== 'NUMPY')
    throw new AludelError('invalid_data', `${what}: expected an .npy array (magic \\x93NUMPY)`)
  const long = bytes[6] >= 2
  const start = long ? 12 : 10
  const dataOffset = start + (long ? view.getUint32(8, true) : view.getUint16(8, true))
  if (dataOffset > bytes.length) throw runsPast(what)
  const groups = literal.exec(latin1.decode(bytes.subarray(start, dataOffset)))?.groups
  if (!groups) throw new AludelError('invalid_data', `${what}: expected a header with descr, fortran_order and shape`)
  const parts = groups.shape
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
  const wrong = parts.find((part) => !dimension.test(part))
  if (wrong !== undefined) throw expected('invalid_data', `${what}: shape`, 'dimensions of at most 9 digits', wrong)
  return { descr: groups.descr, fortran: groups.fortran === 'True', shape: parts.map(Number), dataOffset }
}

/**
 * Checks an array of `totalBytes` by its `start`, which must hold the header. Throws `invalid_data`: magic, header, dtype, or a size that
 * does not fit.
 */
export function checkNpy(what: string, start: Uint8Array, totalBytes: number): Header & { readonly decode: Decode } {
  const header = parseHeader(what, start)
  const { descr, shape, dataOffset } = header
  if (dataOffset > totalBytes) throw runsPast(what)
  if (descr === '|O') {
    throw new AludelError('invalid_data', `${what}: holds pickled Python objects, which are never read, as they can run code; save numbers`)
  }
  if (!Object.hasOwn(decoders, descr))
    throw new AludelError('invalid_data', `${what}: expected a dtype of ${Object.keys(decoders).join(' ')} but received '${descr}'`)
  const { bytes: elementBytes, decode } = decoders[descr]
  const wanted = sizeOf(shape) * elementBytes
  if (wanted !== totalBytes - dataOffset) {
    throw new AludelError('invalid_data', `${what}: expected ${wanted} bytes for shape [${shape}] but received ${totalBytes - dataOffset}`)
  }
  return { ...header, decode }
}

/** Decodes one array; `what` names file and array in errors. Throws as `checkNpy`. */
export function parseNpy(what: string, bytes: Uint8Array): NpyArray {
  const { descr, fortran, shape, dataOffset, decode } = checkNpy(what, bytes, bytes.length)
  const data = decode(bytes.slice(dataOffset).buffer as ArrayBuffer, sizeOf(shape))
  if (!fortran || shape.length < 2) return { shape, descr, data }
  const axes = shape.map((_, i) => shape.length - 1 - i)
  return { shape, descr, data: permuteAxes(data, [...shape].reverse(), axes) }
}
