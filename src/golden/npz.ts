/**
 * @file Reader of .npz archives: zip (stored or deflate) of .npy arrays. Every offset and size is checked against the file before use,
 * decompression is capped at the declared size, and the .npy header is matched as a fixed literal, never evaluated.
 */
import { readFileSync } from 'node:fs'
import { inflateRawSync } from 'node:zlib'
import { crc32 } from '../crc32.js'
import { AludelError } from '../errors.js'
import { parseNpy } from './npy.js'
import type { GoldenTensor } from './tensor.js'

const endSignature = 0x06054b50
const centralSignature = 0x02014b50
const localSignature = 0x04034b50
const endBytes = 22
const maxEntryBytes = 1 << 28

interface Entry {
  readonly method: number
  readonly crc: number
  readonly packedBytes: number
  readonly bytes: number
  readonly offset: number
}

/** An opened archive. Arrays are decoded when asked for, so one of an unknown dtype does not spoil the others. */
export interface NpzArchive {
  readonly names: readonly string[]
  /** Throws `not_found` for a name that is not there, `invalid_data` for bytes that do not fit the format. */
  read(name: string): GoldenTensor
}

const invalid = (path: string, what: string) => new AludelError('invalid_data', `${path}: ${what}`)

/** The end record may be followed by a comment of at most 65535 bytes: search backwards. */
function findEnd(path: string, bytes: Buffer): number {
  const first = Math.max(0, bytes.length - endBytes - 0xffff)
  for (let at = bytes.length - endBytes; at >= first; at--) {
    if (bytes.readUInt32LE(at) === endSignature) return at
  }
  throw invalid(path, 'expected a zip archive but found no end record; the file is not an .npz or is cut off')
}

function readDirectory(path: string, bytes: Buffer): Map<string, Entry> {
  const end = findEnd(path, bytes)
  const count = bytes.readUInt16LE(end + 10)
  let at = bytes.readUInt32LE(end + 16)
  const entries = new Map<string, Entry>()
  for (let i = 0; i < count; i++) {
    if (at + 46 > end || bytes.readUInt32LE(at) !== centralSignature)
      throw invalid(path, `directory entry ${i} of ${count} lies outside the directory`)
    const nameBytes = bytes.readUInt16LE(at + 28)
    const next = at + 46 + nameBytes + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32)
    if (next > end) throw invalid(path, `directory entry ${i} of ${count} runs past the directory`)
    const name = bytes.toString('utf8', at + 46, at + 46 + nameBytes).replace(/\.npy$/, '')
    entries.set(name, {
      method: bytes.readUInt16LE(at + 10),
      crc: bytes.readUInt32LE(at + 16),
      packedBytes: bytes.readUInt32LE(at + 20),
      bytes: bytes.readUInt32LE(at + 24),
      offset: bytes.readUInt32LE(at + 42),
    })
    at = next
  }
  return entries
}

/** The same bytes without Buffer's own methods, which the types of node:zlib and crc32 do not know. */
const asBytes = (buffer: Buffer): Uint8Array => new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length)

function inflate(path: string, name: string, packed: Buffer, bytes: number): Buffer {
  try {
    return inflateRawSync(asBytes(packed), { maxOutputLength: Math.max(1, bytes) })
  } catch (cause) {
    throw new AludelError('invalid_data', `${path}: ${name}: cannot decompress to the declared ${bytes} bytes`, { cause })
  }
}

function extract(path: string, name: string, bytes: Buffer, entry: Entry): Buffer {
  const { method, crc, packedBytes, bytes: size, offset } = entry
  if (size > maxEntryBytes) throw invalid(path, `${name}: expected at most ${maxEntryBytes} bytes but the archive declares ${size}`)
  if (offset + 30 > bytes.length || bytes.readUInt32LE(offset) !== localSignature)
    throw invalid(path, `${name}: no local header at offset ${offset}`)
  const start = offset + 30 + bytes.readUInt16LE(offset + 26) + bytes.readUInt16LE(offset + 28)
  if (start + packedBytes > bytes.length)
    throw invalid(path, `${name}: ${packedBytes} bytes at ${start} run past the end of the file (${bytes.length})`)
  if (method !== 0 && method !== 8) throw invalid(path, `${name}: expected a stored or deflated entry but received method ${method}`)
  const packed = bytes.subarray(start, start + packedBytes)
  const content = method === 0 ? packed : inflate(path, name, packed, size)
  if (content.length !== size) throw invalid(path, `${name}: expected ${size} bytes but received ${content.length}`)
  if (crc32(asBytes(content)) !== crc) throw invalid(path, `${name}: checksum does not match; the file is damaged`)
  return content
}

/** Opens the archive at `path`. Throws `invalid_data` when it is not a zip archive; file-system errors pass through. */
export function openNpz(path: string): NpzArchive {
  const bytes = readFileSync(path)
  const entries = readDirectory(path, bytes)
  return {
    names: [...entries.keys()],
    read(name) {
      const entry = entries.get(name)
      if (!entry) throw new AludelError('not_found', `${path}: expected an array '${name}' but it holds ${[...entries.keys()].join(', ')}`)
      return parseNpy(`${path}: ${name}`, extract(path, name, bytes, entry))
    },
  }
}
