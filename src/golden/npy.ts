/** @file One .npy array to float64 numbers. The header is a Python literal: it is matched against the three known keys, never evaluated. */
import { AludelError } from '../errors.js'
import { permuteAxes } from '../nn/layout.js'
import type { GoldenTensor } from './tensor.js'

type Reader = (view: DataView, offset: number) => number

const readers: Record<string, { bytes: number; read: Reader }> = {
  '<f8': { bytes: 8, read: (view, at) => view.getFloat64(at, true) },
  '<f4': { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  '<i8': { bytes: 8, read: (view, at) => Number(view.getBigInt64(at, true)) },
  '<i4': { bytes: 4, read: (view, at) => view.getInt32(at, true) },
  '<u4': { bytes: 4, read: (view, at) => view.getUint32(at, true) },
  '|i1': { bytes: 1, read: (view, at) => view.getInt8(at) },
  '|u1': { bytes: 1, read: (view, at) => view.getUint8(at) },
  '|b1': { bytes: 1, read: (view, at) => view.getUint8(at) },
}

const literal =
  /^\{\s*'descr':\s*'(?<descr>[<>|=]\w+)',\s*'fortran_order':\s*(?<fortran>True|False),\s*'shape':\s*\((?<shape>(?:\s*\d{1,9}\s*,?)*)\),?\s*\}\s*$/

interface Header {
  readonly descr: string
  readonly fortran: boolean
  readonly shape: readonly number[]
  readonly dataOffset: number
}

function parseHeader(what: string, bytes: Buffer): Header {
  if (bytes.length < 12 || bytes.toString('latin1', 0, 6) !== '\x93NUMPY')
    throw new AludelError('invalid_data', `${what}: expected an .npy array (magic \\x93NUMPY)`)
  const wide = bytes[6] >= 2
  const start = wide ? 12 : 10
  const dataOffset = start + (wide ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8))
  if (dataOffset > bytes.length) throw new AludelError('invalid_data', `${what}: the header runs past the end of the array`)
  const groups = literal.exec(bytes.toString('latin1', start, dataOffset))?.groups
  if (!groups) throw new AludelError('invalid_data', `${what}: expected a header with descr, fortran_order and shape`)
  const shape = groups.shape
    .split(',')
    .filter((part) => part.trim() !== '')
    .map(Number)
  return { descr: groups.descr, fortran: groups.fortran === 'True', shape, dataOffset }
}

/** Decodes one array; `what` names file and array in errors (`invalid_data`: magic, header, dtype or size that do not fit). */
export function parseNpy(what: string, bytes: Buffer): GoldenTensor {
  const { descr, fortran, shape, dataOffset } = parseHeader(what, bytes)
  const reader = readers[descr]
  if (!reader)
    throw new AludelError('invalid_data', `${what}: expected a dtype of ${Object.keys(readers).join(' ')} but received '${descr}'`)
  const length = shape.reduce((n, d) => n * d, 1)
  if (length * reader.bytes !== bytes.length - dataOffset) {
    throw new AludelError(
      'invalid_data',
      `${what}: expected ${length * reader.bytes} bytes for shape [${shape}] but received ${bytes.length - dataOffset}`,
    )
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset + dataOffset, length * reader.bytes)
  const data = Float64Array.from({ length }, (_, i) => reader.read(view, i * reader.bytes))
  if (!fortran || shape.length < 2) return { shape, data }
  const axes = shape.map((_, i) => shape.length - 1 - i)
  return { shape, data: permuteAxes(data, [...shape].reverse(), axes) }
}
