/** @file .npy arrays and zip archives for the reader tests, whole or bent. */
import { deflateRawSync } from 'node:zlib'
import { crc32 } from '../../../src/crc32.js'
import { freshDir, write } from './fixtures.js'

export const latin1 = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0))
const concatenate = (parts: readonly Uint8Array[]) => Uint8Array.from(Buffer.concat(parts))

/** A record of little-endian fields: [offset, bytes, value]. */
function fields(length: number, ...entries: [offset: number, bytes: 2 | 4, value: number][]): Uint8Array {
  const view = new DataView(new ArrayBuffer(length))
  for (const [offset, bytes, value] of entries) bytes === 2 ? view.setUint16(offset, value, true) : view.setUint32(offset, value, true)
  return new Uint8Array(view.buffer)
}

export function npy(header: string, data: Uint8Array): Uint8Array {
  const padded = `${header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11)}\n`
  return concatenate([latin1('\x93NUMPY\x01\x00'), fields(2, [0, 2, padded.length]), latin1(padded), data])
}

export const header = (descr: string, shape: string, fortran = 'False') =>
  `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }`
export const float64 = (...values: number[]) => new Uint8Array(Float64Array.from(values).buffer)

/** Fields of an entry that a test may bend. */
export interface Bend {
  readonly deflate?: boolean
  readonly crc?: number
  readonly bytes?: number
  readonly offset?: number
  readonly method?: number
  readonly flags?: number
}

/** The bytes of a zip archive. */
export function zipBytes(...contents: readonly (readonly [name: string, content: Uint8Array, bend?: Bend])[]): Uint8Array {
  const bodies: Uint8Array[] = []
  const directory: Uint8Array[] = []
  let offset = 0
  for (const [name, content, bend = {}] of contents) {
    const packed = bend.deflate ? Uint8Array.from(deflateRawSync(content)) : content
    const entry = latin1(name)
    const local = fields(30, [0, 4, 0x04034b50], [26, 2, entry.length])
    bodies.push(local, entry, packed)
    directory.push(
      fields(
        46,
        [0, 4, 0x02014b50],
        [8, 2, bend.flags ?? 0],
        [10, 2, bend.method ?? (bend.deflate ? 8 : 0)],
        [16, 4, bend.crc ?? crc32(content)],
        [20, 4, packed.length],
        [24, 4, bend.bytes ?? content.length],
        [28, 2, entry.length],
        [42, 4, bend.offset ?? offset],
      ),
      entry,
    )
    offset += local.length + entry.length + packed.length
  }
  const central = concatenate(directory)
  const end = fields(22, [0, 4, 0x06054b50], [10, 2, contents.length], [12, 4, central.length], [16, 4, offset])
  return concatenate([...bodies, central, end])
}

/** Unsigned bytes, and whole numbers, as arrays of a file. */
export const u8 = (shape: string, data: Uint8Array) => npy(header('|u1', shape), data)
export const i8 = (...labels: number[]) =>
  npy(header('<i8', `(${labels.length},)`), new Uint8Array(BigInt64Array.from(labels, BigInt).buffer))

/** A file set.npz of these arrays. */
export const archive = (arrays: Readonly<Record<string, Uint8Array>>): string =>
  write(
    freshDir(),
    'set.npz',
    zipBytes(...Object.entries(arrays).map(([name, content]) => [`${name}.npy`, content, { deflate: true }] as const)),
  )
