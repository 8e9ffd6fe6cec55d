/** @file .npz, writing: arrays in NumPy's own format, stored one after another in a zip archive. Equal arrays, equal bytes. */
import { crc32 } from '../crc32.js'
import { sizeOf } from '../engine/tensor/shape.js'
import { AludelError } from '../errors.js'
import { Turn } from '../event-loop.js'
import { bytesOf } from '../files/pieces.js'

export interface NpzArray {
  /** NumPy's type string, such as '<f4'; little-endian. */
  readonly descr: string
  readonly shape: readonly number[]
  readonly data: Uint8Array
}

export const floatArray = (data: Float32Array, shape: readonly number[]): NpzArray => ({ descr: '<f4', shape, data: bytesOf(data) })

export const doubleArray = (numbers: readonly number[]): NpzArray => ({
  descr: '<f8',
  shape: [numbers.length],
  data: bytesOf(Float64Array.from(numbers)),
})

/** One number, of shape (). */
export const floatScalar = (value: number): NpzArray => floatArray(Float32Array.of(value), [])

export const longArray = (numbers: ArrayLike<number>): NpzArray => ({
  descr: '<i8',
  shape: [numbers.length],
  data: bytesOf(BigInt64Array.from(Array.from(numbers), BigInt)),
})

/** Texts as NumPy's fixed-width unicode: no pickle is needed to read them. */
export function textArray(texts: readonly string[]): NpzArray {
  const points = texts.map((text) => Array.from(text, (character) => character.codePointAt(0) as number))
  const width = Math.max(1, ...points.map(({ length }) => length))
  const data = new Uint32Array(texts.length * width)
  for (const [i, text] of points.entries()) data.set(text, i * width)
  return { descr: `<U${width}`, shape: [texts.length], data: bytesOf(data) }
}

const magic = [0x93, ...Array.from('NUMPY', (c) => c.charCodeAt(0)), 1, 0]
/** Data starts at a multiple of this, so that it can be mapped. */
const alignment = 64

/** Header of a .npy file: magic, version 1.0, and a Python literal, padded. */
function npyHeader({ descr, shape, data }: NpzArray): Uint8Array {
  const itemBytes = Number(/\d+$/.exec(descr)?.[0]) * (descr.includes('U') ? 4 : 1)
  if (sizeOf(shape) * itemBytes !== data.length) {
    throw new AludelError('internal', `npy: ${descr} [${shape}] has ${sizeOf(shape) * itemBytes} bytes but received ${data.length}`)
  }
  const literal = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`
  const length = Math.ceil((magic.length + 2 + literal.length + 1) / alignment) * alignment
  const header = new Uint8Array(length).fill(0x20)
  header.set(magic)
  new DataView(header.buffer).setUint16(magic.length, length - magic.length - 2, true)
  header.set(new TextEncoder().encode(literal), magic.length + 2)
  header[length - 1] = 0x0a
  return header
}

const localBytes = 30
const centralBytes = 46
const endBytes = 22
/** Sizes and offsets of a plain zip archive have 32 bits. */
const mostBytes = 2 ** 32 - 1
/** 1980-01-01, the first date there is: archives of equal arrays are equal. */
const firstDate = 0x0021
const versionNeeded = 20

/** The archive. Throws `invalid_option` for more than 4 GiB. */
export async function encodeNpz(arrays: Readonly<Record<string, NpzArray>>): Promise<Uint8Array> {
  const turn = new Turn()
  const entries: { name: Uint8Array; header: Uint8Array; data: Uint8Array; crc: number; offset: number }[] = []
  let size = endBytes
  for (const [key, array] of Object.entries(arrays)) {
    await turn.breathe()
    const name = new TextEncoder().encode(`${key}.npy`)
    const header = npyHeader(array)
    const content = new Uint8Array(header.length + array.data.length)
    content.set(header)
    content.set(array.data, header.length)
    entries.push({ name, header, data: content, crc: crc32(content), offset: 0 })
    size += localBytes + centralBytes + 2 * name.length + content.length
  }
  if (size > mostBytes) throw new AludelError('invalid_option', `npz: the set needs ${size} bytes, more than an archive holds; use parquet`)
  const file = new Uint8Array(size)
  const view = new DataView(file.buffer)
  let at = 0
  /** What local and central headers share, from the version on. */
  const common = (start: number, { data, crc, name }: (typeof entries)[number]) => {
    view.setUint16(start, versionNeeded, true)
    view.setUint16(start + 8, firstDate, true)
    view.setUint32(start + 10, crc, true)
    view.setUint32(start + 14, data.length, true)
    view.setUint32(start + 18, data.length, true)
    view.setUint16(start + 22, name.length, true)
  }
  for (const entry of entries) {
    await turn.breathe()
    entry.offset = at
    view.setUint32(at, 0x04034b50, true)
    common(at + 4, entry)
    file.set(entry.name, at + localBytes)
    file.set(entry.data, at + localBytes + entry.name.length)
    at += localBytes + entry.name.length + entry.data.length
  }
  const directory = at
  for (const entry of entries) {
    view.setUint32(at, 0x02014b50, true)
    view.setUint16(at + 4, versionNeeded, true)
    common(at + 6, entry)
    view.setUint32(at + 42, entry.offset, true)
    file.set(entry.name, at + centralBytes)
    at += centralBytes + entry.name.length
  }
  view.setUint32(at, 0x06054b50, true)
  view.setUint16(at + 8, entries.length, true)
  view.setUint16(at + 10, entries.length, true)
  view.setUint32(at + 12, at - directory, true)
  view.setUint32(at + 16, directory, true)
  return file
}
