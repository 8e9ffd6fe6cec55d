/**
 * @file The checkpoints of one expert: a safetensors file of one F32 tensor [P] for each kept epoch, named `epoch-40`, one after the other, and
 * the SHA-256 of each in the header. Its size and every offset are known before anything is trained, so that it grows in place.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { fileSize, openForReading } from '../data/file-bytes.js'
import { AludelError, expected, onFile } from '../errors.js'
import { inPieces, Turn } from '../event-loop.js'
import { roomFailure } from '../files/atomic-file.js'
import { bytesOf, hashOfParts } from '../files/pieces.js'
import { decodeHeader, encodeHeader, headerEnd, type SafeTensor } from '../files/safetensors.js'
import { expertFormat, expertsVersion } from './record.js'

const nameOf = (epoch: number): string => `epoch-${epoch}`
const unwritten = '0'.repeat(64)

export interface CheckpointsLayout {
  readonly expert: number
  /** Scalars of a checkpoint. */
  readonly parameters: number
  /** Ascending. */
  readonly epochs: readonly number[]
}

/** The file's first bytes; their number does not depend on the hashes. */
function headerOf({ expert, parameters, epochs }: CheckpointsLayout, hashes: readonly string[]): Uint8Array {
  const tensor: SafeTensor = { dtype: 'F32', shape: [parameters], data: new Uint8Array(4 * parameters) }
  const tensors = new Map(epochs.map((epoch) => [nameOf(epoch), tensor]))
  const named = Object.fromEntries(epochs.map((epoch, i) => [nameOf(epoch), hashes[i] ?? unwritten]))
  return encodeHeader(tensors, { format: expertFormat, version: String(expertsVersion), expert: String(expert), ...named })
}

/** Bytes of the whole file. */
export const checkpointsBytes = (layout: CheckpointsLayout): number =>
  headerOf(layout, []).length + 4 * layout.parameters * layout.epochs.length

const placeOf = (layout: CheckpointsLayout, epoch: number): number =>
  headerOf(layout, []).length + 4 * layout.parameters * layout.epochs.indexOf(epoch)

export const hashOfCheckpoint = (flat: Float32Array): Promise<string> => hashOfParts('', [bytesOf(flat)])

/** Writes the parameters of one kept epoch in place, durably. Throws `io`, where there is no room with the bytes that the file needs. */
export const writeCheckpointAt = (path: string, layout: CheckpointsLayout, epoch: number, flat: Float32Array): Promise<void> =>
  changing(path, layout, async (handle) => {
    if ((await handle.stat()).size === 0) await writeAll(handle, headerOf(layout, []), 0)
    await writeAll(handle, bytesOf(flat), placeOf(layout, epoch))
  })

/** Completes the file by the hashes of its tensors, and cuts off what an earlier, longer one left behind it. Throws `io`. */
export const sealCheckpoints = (path: string, layout: CheckpointsLayout, hashes: readonly string[]): Promise<void> =>
  changing(path, layout, async (handle) => {
    await writeAll(handle, headerOf(layout, hashes), 0)
    const bytes = checkpointsBytes(layout)
    if ((await handle.stat()).size > bytes) await handle.truncate(bytes)
  })

const changing = (path: string, layout: CheckpointsLayout, change: (handle: FileHandle) => Promise<void>): Promise<void> =>
  onFile(path, async () => {
    try {
      const handle = await open(path, 'r+').catch((error) => {
        if (error.code !== 'ENOENT') throw error
        return open(path, 'wx+')
      })
      try {
        await change(handle)
        await handle.sync()
      } finally {
        await handle.close()
      }
    } catch (error) {
      throw roomFailure(error, path, checkpointsBytes(layout))
    }
  })

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten
}

/** What a finished file must hold. */
export interface WantedCheckpoints {
  readonly parameters: number
  readonly epochs: readonly number[]
  readonly hashes: readonly string[]
}

/**
 * Throws `invalid_data` naming a hash that is not there unless the header fits the size of the file and lists every wanted epoch; there may be
 * more. `not_found`, `io`.
 */
export const checkFile = (path: string, wanted: WantedCheckpoints): Promise<void> =>
  reading(path, async (handle) => {
    for (const epoch of wanted.epochs) await offsetOf(path, handle, wanted, epoch)
  })

/** The parameters after an epoch, in the public flat order. Throws `invalid_data` naming the hash for any damage, `not_finite`, `not_found`, `io`. */
export async function readCheckpointAt(path: string, wanted: WantedCheckpoints, epoch: number): Promise<Float32Array> {
  const flat = new Float32Array(wanted.parameters)
  await reading(path, async (handle) => readAt(path, handle, bytesOf(flat), await offsetOf(path, handle, wanted, epoch)))
  const hash = wanted.hashes[wanted.epochs.indexOf(epoch)]
  const received = await hashOfCheckpoint(flat)
  const what = `${path}: parameters after epoch ${epoch}`
  if (received !== hash) throw expected('invalid_data', what, `sha256 ${hash}`, received, 'the file was changed or damaged')
  await checkFinite(what, flat)
  return flat
}

/** The parameters after an epoch that a file still growing holds, unchecked. Throws `invalid_data` where it ends before, `not_found`, `io`. */
export async function readGrowing(path: string, layout: CheckpointsLayout, epoch: number): Promise<Float32Array> {
  const flat = new Float32Array(layout.parameters)
  await reading(path, (handle) => readAt(path, handle, bytesOf(flat), placeOf(layout, epoch)))
  return flat
}

async function reading(path: string, read: (handle: FileHandle) => Promise<unknown>): Promise<void> {
  await fileSize(path)
  await onFile(path, async () => {
    const handle = await openForReading(path)
    try {
      await read(handle)
    } finally {
      await handle.close()
    }
  })
}

/** Where a checkpoint begins, by the file's own header. */
async function offsetOf(path: string, handle: FileHandle, wanted: WantedCheckpoints, epoch: number): Promise<number> {
  const { parameters, epochs, hashes } = wanted
  try {
    const { size } = await handle.stat()
    const end = headerEnd(path, await readAt(path, handle, new Uint8Array(Math.min(8, size)), 0), size)
    const { tensors, dataStart, metadata } = decodeHeader(path, await readAt(path, handle, new Uint8Array(end), 0), size)
    if (metadata.format !== expertFormat) throw expected('invalid_data', path, `checkpoints (format '${expertFormat}')`, metadata.format)
    const tensor = tensors.get(nameOf(epoch))
    if (tensor?.dtype === 'F32' && tensor.shape.join() === String(parameters)) return dataStart + tensor.begin
    const received = tensor ? `${tensor.dtype} [${tensor.shape}]` : 'none'
    throw expected('invalid_data', `${path}: tensor '${nameOf(epoch)}'`, `F32 [${parameters}]`, received)
  } catch (error) {
    if (!(error instanceof AludelError && error.code === 'invalid_data')) throw error
    const wantedHash = `the parameters after epoch ${epoch} have sha256 ${hashes[epochs.indexOf(epoch)]}`
    throw new AludelError('invalid_data', `${error.message}; ${wantedHash}: the file is cut short or damaged`, { cause: error })
  }
}

async function readAt(path: string, handle: FileHandle, bytes: Uint8Array, position: number): Promise<Uint8Array> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, position + done)
    if (bytesRead === 0) throw new AludelError('invalid_data', `${path}: the file ends after ${position + done} bytes`)
    done += bytesRead
  }
  return bytes
}

/** Throws `not_finite` naming the first parameter that is no number. */
export async function checkFinite(what: string, flat: Float32Array): Promise<void> {
  await inPieces(flat.length, new Turn(), (from, to) => {
    for (let i = from; i < to; i++)
      if (!Number.isFinite(flat[i])) throw new AludelError('not_finite', `${what}: parameter ${i} of ${flat.length} is ${flat[i]}`)
  })
}
