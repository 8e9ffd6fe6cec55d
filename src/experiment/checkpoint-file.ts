/**
 * @file One checkpoint as a safetensors file: the state's tensors, everything else as text in the header, and as last tensor the SHA-256
 * of all bytes before it. Written and read in pieces, so that the event loop stays free and size is no matter.
 */
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { isRecord } from '../arguments.js'
import { fileSize, openForReading } from '../data/file-bytes.js'
import { allocate, type DType } from '../engine/tensor/dtype.js'
import { AludelError, expected } from '../errors.js'
import { writeAtomic } from '../files/atomic-file.js'
import { bytesOf } from '../files/pieces.js'
import { decodeHeader, encodeHeader, headerEnd, type SafeTensor, type SafetensorsDType } from '../files/safetensors.js'
import { parseRecord } from './sealed-json.js'
import type { Checkpoint, StateTensor } from './types.js'

const format = 'aludel-checkpoint'
const version = '1'
const digestBytes = 32
const digestName = 'sha256'
/** Hashing or copying one piece takes about a millisecond. */
const pieceBytes = 1 << 20

const fileTypes: Readonly<Record<DType, SafetensorsDType>> = { f32: 'F32', f64: 'F64', i32: 'I32', u32: 'U32', u8: 'U8' }
const stateTypes = new Map(Object.entries(fileTypes).map(([dtype, fileType]) => [fileType, dtype as DType]))

/** Replaces `path` by the checkpoint, durably. Throws `io` when the system refuses. */
export async function writeCheckpoint(path: string, { tensors, ...rest }: Checkpoint): Promise<void> {
  const entries = Object.entries(tensors).map(([name, { dtype, shape, data }]): [string, SafeTensor] => [
    name,
    { dtype: fileTypes[dtype], shape, data: bytesOf(data) },
  ])
  const digest: SafeTensor = { dtype: 'U8', shape: [digestBytes], data: new Uint8Array(digestBytes) }
  const start = encodeHeader(new Map([...entries, [digestName, digest]]), { format, version, state: JSON.stringify(rest) })
  const parts = [start, ...entries.map(([, { data }]) => data)]
  const bytes = parts.reduce((sum, { length }) => sum + length, digestBytes)
  await writeAtomic(path, withDigest(parts), bytes)
}

async function* withDigest(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  for (const part of parts) {
    for (let at = 0; at < part.length; at += pieceBytes) {
      const piece = part.subarray(at, at + pieceBytes)
      hash.update(piece)
      yield piece
    }
  }
  yield new Uint8Array(hash.digest())
}

/**
 * Reads and checks what `writeCheckpoint` wrote.
 * @throws AludelError `invalid_data` for any damage, `incompatible` for a whole checkpoint of another version.
 */
export async function readCheckpoint(path: string): Promise<Checkpoint> {
  await fileSize(path)
  const handle = await openForReading(path)
  try {
    const { size } = await handle.stat()
    await checkDigest(path, handle, size)
    const end = headerEnd(path, await readAt(path, handle, 0, Math.min(8, size)), size)
    const { tensors: entries, metadata, dataStart } = decodeHeader(path, await readAt(path, handle, 0, end), size)
    if (metadata.format !== format) throw expected('invalid_data', path, `a checkpoint (format '${format}')`, metadata.format)
    if (metadata.version !== version) throw expected('incompatible', `${path}: version`, version, metadata.version)
    const tensors: Record<string, StateTensor> = {}
    for (const [name, { dtype: fileType, shape, begin }] of entries) {
      const dtype = stateTypes.get(fileType)
      if (name === digestName) continue
      if (!dtype) throw expected('invalid_data', `${path}: tensor '${name}'`, [...stateTypes.keys()].join(', '), fileType)
      const data = allocate(
        dtype,
        shape.reduce((n, d) => n * d, 1),
      )
      await readInto(path, handle, bytesOf(data), dataStart + begin)
      tensors[name] = { dtype, shape, data }
    }
    return { ...checkState(path, parseRecord(path, metadata.state ?? '')), tensors }
  } finally {
    await handle.close()
  }
}

async function checkDigest(path: string, handle: FileHandle, size: number): Promise<void> {
  if (size < digestBytes) throw expected('invalid_data', path, 'a checkpoint', `a file of ${size} bytes`)
  const hash = createHash('sha256')
  for (let at = 0; at < size - digestBytes; at += pieceBytes) {
    hash.update(await readAt(path, handle, at, Math.min(pieceBytes, size - digestBytes - at)))
  }
  const wanted = Buffer.from(await readAt(path, handle, size - digestBytes, digestBytes)).toString('hex')
  const received = hash.digest('hex')
  if (received !== wanted) {
    throw new AludelError('invalid_data', `${path}: expected sha256 ${wanted} but received '${received}'; the file is cut short or damaged`)
  }
}

async function readAt(path: string, handle: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  await readInto(path, handle, bytes, position)
  return bytes
}

async function readInto(path: string, handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await handle.read(bytes, done, Math.min(pieceBytes, bytes.length - done), position + done)
    if (bytesRead === 0) throw new AludelError('invalid_data', `${path}: the file ends after ${position + done} bytes`)
    done += bytesRead
  }
}

/** The hash says that the text is as it was written; this says that it was written by this format. */
function checkState(path: string, value: Readonly<Record<string, unknown>>): Omit<Checkpoint, 'tensors'> {
  const { config, data, plans, counters, seconds } = value
  const whole = (n: unknown) => Number.isSafeInteger(n) && (n as number) >= 0
  const counted = isRecord(counters) && whole(counters.step) && Object.values(counters).every(whole)
  if (!isRecord(config) || !isRecord(data) || !isRecord(plans) || !counted || typeof seconds !== 'number') {
    throw new AludelError('invalid_data', `${path}: expected config, data, plans, counters and seconds in the header`)
  }
  return value as unknown as Omit<Checkpoint, 'tensors'>
}
