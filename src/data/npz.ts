/**
 * @file .npz archives: zip (stored or deflate) of .npy arrays. Every offset and size is checked against the file before use; of a packed
 * array the header alone is unpacked first, and the rest only when the size that the archive declares is the one that the header needs.
 */
import { promisify } from 'node:util'
import { inflateRaw, inflateRawSync, constants as zlib } from 'node:zlib'
import { crc32 } from '../crc32.js'
import { AludelError } from '../errors.js'
import { asBytes, maxFileBytes } from './file-bytes.js'
import { checkNpy, type NpyArray, parseNpy } from './npy.js'

const endSignature = 0x06054b50
const centralSignature = 0x02014b50
const localSignature = 0x04034b50
const endBytes = 22
/** Packed bytes that hold the header of an array, whatever follows. */
const startBytes = 4096
/** Arrays of this size that would grow more than so many times are bombs: images and labels do not pack that well. */
const largeBytes = 64 << 20
const mostGrowth = 200
/** Says that the true number stands in a zip64 field. */
const beyond32 = 0xffffffff

interface Entry {
  readonly flags: number
  readonly method: number
  readonly crc: number
  readonly packedBytes: number
  readonly bytes: number
  readonly offset: number
}

/** An opened archive. Arrays are decoded when asked for, so one of an unknown dtype does not spoil the others. */
export interface NpzArchive {
  readonly names: readonly string[]
  /** Rejects with `not_found` for a name that is not there, `invalid_data` for bytes that do not fit the format. */
  read(name: string): Promise<NpyArray>
  /** As `read`, on the calling thread: for small files. */
  readSync(name: string): NpyArray
}

const invalid = (path: string, what: string) => new AludelError('invalid_data', `${path}: ${what}`)

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** The end record may be followed by a comment of at most 65535 bytes: search backwards. */
function findEnd(path: string, view: DataView): number {
  const first = Math.max(0, view.byteLength - endBytes - 0xffff)
  for (let at = view.byteLength - endBytes; at >= first; at--) {
    if (view.getUint32(at, true) === endSignature) return at
  }
  throw invalid(path, 'expected a zip archive but found no end record; the file is not an .npz or is cut off')
}

function readDirectory(path: string, bytes: Uint8Array): Map<string, Entry> {
  const view = viewOf(bytes)
  const end = findEnd(path, view)
  const count = view.getUint16(end + 10, true)
  let at = view.getUint32(end + 16, true)
  const entries = new Map<string, Entry>()
  for (let i = 0; i < count; i++) {
    if (at + 46 > end || view.getUint32(at, true) !== centralSignature)
      throw invalid(path, `directory entry ${i} of ${count} lies outside the directory`)
    const nameBytes = view.getUint16(at + 28, true)
    const next = at + 46 + nameBytes + view.getUint16(at + 30, true) + view.getUint16(at + 32, true)
    if (next > end) throw invalid(path, `directory entry ${i} of ${count} runs past the directory`)
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameBytes)).replace(/\.npy$/, '')
    if (entries.has(name)) throw invalid(path, `the directory has two entries '${name}'`)
    entries.set(name, {
      flags: view.getUint16(at + 8, true),
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      packedBytes: view.getUint32(at + 20, true),
      bytes: view.getUint32(at + 24, true),
      offset: view.getUint32(at + 42, true),
    })
    at = next
  }
  return entries
}

/** The packed bytes of an entry, after all that the directory says was found to fit. */
function packedBytes(path: string, name: string, bytes: Uint8Array, entry: Entry): Uint8Array {
  const view = viewOf(bytes)
  const { flags, method, packedBytes: packed, bytes: size, offset } = entry
  if (flags & 1) throw invalid(path, `${name}: the entry is encrypted`)
  if ([packed, size, offset].includes(beyond32)) throw invalid(path, `${name}: zip64 entries, of 4 GiB and more, are not read`)
  if (size > maxFileBytes) throw invalid(path, `${name}: expected at most ${maxFileBytes} bytes but the archive declares ${size}`)
  if (offset + 30 > bytes.length || view.getUint32(offset, true) !== localSignature)
    throw invalid(path, `${name}: no local header at offset ${offset}`)
  const start = offset + 30 + view.getUint16(offset + 26, true) + view.getUint16(offset + 28, true)
  if (start + packed > bytes.length)
    throw invalid(path, `${name}: ${packed} bytes at ${start} run past the end of the file (${bytes.length})`)
  if (method !== 0 && method !== 8) throw invalid(path, `${name}: expected a stored or deflated entry but received method ${method}`)
  return bytes.subarray(start, start + packed)
}

/** Throws `invalid_data` when a deflated entry does not begin as the array that it declares, or grows as no data does. */
function checkDeflated(path: string, name: string, { bytes: size }: Entry, packed: Uint8Array): void {
  const start = asBytes(inflateRawSync(packed.subarray(0, startBytes), { finishFlush: zlib.Z_SYNC_FLUSH }))
  checkNpy(`${path}: ${name}`, start, size)
  if (size > largeBytes && size > mostGrowth * packed.length) {
    const todo = 'save it without compression if it is data'
    throw invalid(path, `${name}: expected at most ${mostGrowth} times its ${packed.length} packed bytes but it declares ${size}; ${todo}`)
  }
}

/** An array that the engine of JavaScript has no room for; what Node refuses has a code. */
const isOutOfMemory = (error: unknown): boolean => error instanceof RangeError && !('code' in error)

/** An entry whose bytes lie where the directory says. */
interface Unpacking {
  readonly entry: Entry
  readonly packed: Uint8Array
  readonly limit: { readonly maxOutputLength: number }
}

/** An archive of `bytes`; `path` names it in errors. Throws `invalid_data` when it is not a zip archive. */
export function openNpz(path: string, bytes: Uint8Array): NpzArchive {
  const entries = readDirectory(path, bytes)
  const find = (name: string): Unpacking => {
    const entry = entries.get(name)
    if (!entry) throw new AludelError('not_found', `${path}: expected an array '${name}' but it holds ${[...entries.keys()].join(', ')}`)
    const packed = packedBytes(path, name, bytes, entry)
    return { entry, packed, limit: { maxOutputLength: Math.max(1, entry.bytes) } }
  }
  const checked = (name: string, { bytes: size, crc }: Entry, content: Uint8Array): NpyArray => {
    if (content.length !== size) throw invalid(path, `${name}: expected ${size} bytes but received ${content.length}`)
    if (crc32(content) !== crc) throw invalid(path, `${name}: checksum does not match; the file is damaged`)
    return parseNpy(`${path}: ${name}`, content)
  }
  const failed = (name: string, { bytes: size }: Entry, cause: unknown) => {
    if (cause instanceof AludelError) return cause
    if (isOutOfMemory(cause))
      return new AludelError('out_of_memory', `${path}: ${name}: its ${size} bytes do not fit into memory`, { cause })
    return new AludelError('invalid_data', `${path}: ${name}: cannot decompress to the declared ${size} bytes`, { cause })
  }
  return {
    names: [...entries.keys()],
    async read(name) {
      const { entry, packed, limit } = find(name)
      if (entry.method === 0) return checked(name, entry, packed)
      try {
        checkDeflated(path, name, entry, packed)
        return checked(name, entry, asBytes(await promisify(inflateRaw)(packed, limit)))
      } catch (cause) {
        throw failed(name, entry, cause)
      }
    },
    readSync(name) {
      const { entry, packed, limit } = find(name)
      if (entry.method === 0) return checked(name, entry, packed)
      try {
        checkDeflated(path, name, entry, packed)
        return checked(name, entry, asBytes(inflateRawSync(packed, limit)))
      } catch (cause) {
        throw failed(name, entry, cause)
      }
    },
  }
}
