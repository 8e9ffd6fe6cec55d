/** @file One .npy array. The header is a Python literal: it is matched against the three known keys, never evaluated; pickled objects are refused. */
import { sizeOf } from '../engine/tensor/shape.js'
import { AludelError } from '../errors.js'
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
  /^\{\s*'descr':\s*'(?<descr>[<>|=]\w+)',\s*'fortran_order':\s*(?<fortran>True|False),\s*'shape':\s*\((?<shape>(?:\s*\d{1,9}\s*,?)*)\),?\s*\}\s*$/

interface Header {
  readonly descr: string
  readonly fortran: boolean
  readonly shape: readonly number[]
  readonly dataOffset: number
}

const latin1 = new TextDecoder('latin1')

function parseHeader(what: string, bytes: Uint8Array): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 12 || bytes[0] !== 0x93 || latin1.decode(bytes.subarray(1, 6)) !== 'NUMPY')
    throw new AludelError('invalid_data', `${what}: expected an .npy array (magic \\x93NUMPY)`)
  const long = bytes[6] >= 2
  const start = long ? 12 : 10
  const dataOffset = start + (long ? view.getUint32(8, true) : view.getUint16(8, true))
  if (dataOffset > bytes.length) throw new AludelError('invalid_data', `${what}: the header runs past the end of the array`)
  const groups = literal.exec(latin1.decode(bytes.subarray(start, dataOffset)))?.groups
  if (!groups) throw new AludelError('invalid_data', `${what}: expected a header with descr, fortran_order and shape`)
  const shape = groups.shape
    .split(',')
    .filter((part) => part.trim() !== '')
    .map(Number)
  return { descr: groups.descr, fortran: groups.fortran === 'True', shape, dataOffset }
}

/** Decodes one array; `what` names file and array in errors (`invalid_data`: magic, header, dtype or size that do not fit). */
export function parseNpy(what: string, bytes: Uint8Array): NpyArray {
  const { descr, fortran, shape, dataOffset } = parseHeader(what, bytes)
  if (descr === '|O') {
    throw new AludelError('invalid_data', `${what}: holds pickled Python objects, which are never read, as they can run code; save numbers`)
  }
  if (!Object.hasOwn(decoders, descr))
    throw new AludelError('invalid_data', `${what}: expected a dtype of ${Object.keys(decoders).join(' ')} but received '${descr}'`)
  const { bytes: elementBytes, decode } = decoders[descr]
  const length = sizeOf(shape)
  if (length * elementBytes !== bytes.length - dataOffset) {
    throw new AludelError(
      'invalid_data',
      `${what}: expected ${length * elementBytes} bytes for shape [${shape}] but received ${bytes.length - dataOffset}`,
    )
  }
  const data = decode(bytes.slice(dataOffset).buffer as ArrayBuffer, length)
  if (!fortran || shape.length < 2) return { shape, descr, data }
  const axes = shape.map((_, i) => shape.length - 1 - i)
  return { shape, descr, data: permuteAxes(data, [...shape].reverse(), axes) }
}
