/** @file Bounded reads: a data file is read only as far as its own header allows, so a gzip bomb or a huge file costs nothing. */
import { constants } from 'node:fs'
import { access, type FileHandle, open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createGunzip } from 'node:zlib'
import { AludelError, isMissing, onFile, systemFailure } from '../errors.js'

/** No single decoded file may be larger: two bytes short of what one Node buffer always holds. */
export const maxFileBytes = 2 ** 31 - 2

/** The same bytes as a plain Uint8Array: nothing above the readers knows Node's Buffer. */
export const asBytes = (buffer: Buffer): Uint8Array => new Uint8Array(buffer.buffer as ArrayBuffer, buffer.byteOffset, buffer.length)

/** Whether something stands at `path`. Throws `io` when the system does not let that be seen. */
export const exists = (path: string): Promise<boolean> =>
  access(path, constants.F_OK).then(
    () => true,
    (error) => {
      if (isMissing(error)) return false
      throw systemFailure(error, path)
    },
  )

/** The first of `names` that exists in `dir`, or a `not_found` error naming all of them. */
export async function findFile(dir: string, names: readonly string[], todo: string): Promise<string> {
  for (const name of names) {
    if (await exists(join(dir, name))) return join(dir, name)
  }
  throw new AludelError('not_found', `${dir}: expected one of ${names.join(', ')} but found none; ${todo}`)
}

/** A pickle of protocol 2 to 5 begins with the opcode PROTO and its version. */
export const isPickle = (bytes: Uint8Array): boolean => bytes.length > 2 && bytes[0] === 0x80 && bytes[1] >= 2 && bytes[1] <= 5

export const invalidFile = (path: string, what: string, options?: ErrorOptions): AludelError =>
  new AludelError('invalid_data', `${path}: ${what}`, options)

/** Size of a regular file in bytes; otherwise `not_found` (with `todo`), `invalid_data` for a directory, device or pipe, or `io`. */
export async function fileSize(path: string, todo?: string): Promise<number> {
  const info = await stat(path).catch((cause) => {
    if (!isMissing(cause)) throw systemFailure(cause, path)
    throw new AludelError('not_found', `${path}: no readable file (${cause.code})${todo ? `; ${todo}` : ''}`, { cause })
  })
  if (!info.isFile())
    throw invalidFile(path, `expected a regular file but it is ${info.isDirectory() ? 'a directory' : 'a device or pipe'}`)
  return info.size
}

/** Should a pipe have come in place of the file that was looked at, then opening it must not wait for a writer. */
export const openForReading = (path: string): Promise<FileHandle> => open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))

/** The whole file, after its size was found to be at most `limit`: never more than that is read, whatever the file does meanwhile. */
export async function readWhole(path: string, limit: number, todo?: string): Promise<Uint8Array> {
  const size = await fileSize(path, todo)
  if (size > limit) throw invalidFile(path, `expected at most ${limit} bytes but it has ${size}`)
  return onFile(path, async () => {
    const handle = await openForReading(path)
    try {
      return await readUpTo(handle, allocate(path, size))
    } finally {
      await handle.close()
    }
  })
}

/** The text of a file of at most `limit` bytes of UTF-8. */
export const readText = async (path: string, limit: number, todo?: string): Promise<string> =>
  new TextDecoder().decode(await readWhole(path, limit, todo))

/** Zeros. Throws `out_of_memory` naming the file that they are to hold. */
export function allocate(path: string, size: number): Uint8Array {
  try {
    return new Uint8Array(size)
  } catch (cause) {
    throw new AludelError('out_of_memory', `${path}: its ${size} bytes do not fit into memory`, { cause })
  }
}

/** Fills `bytes` from the start of the file; shorter when the file ends before. */
async function readUpTo(handle: FileHandle, bytes: Uint8Array): Promise<Uint8Array> {
  let filled = 0
  while (filled < bytes.length) {
    const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return bytes.subarray(0, filled)
}

async function isGzip(handle: FileHandle): Promise<boolean> {
  const start = await readUpTo(handle, new Uint8Array(2))
  return start.length === 2 && start[0] === 0x1f && start[1] === 0x8b
}

export interface FramedFile {
  readonly headerBytes: number
  /** Total decoded size that a header announces; throws when the header is wrong. Called once, with at least `headerBytes` bytes. */
  readonly totalBytes: (header: Uint8Array) => number
}

/** Deflate packs no more than so many bytes into one. */
const mostGrowth = 1032

/**
 * Decoded bytes of a plain or gzip file (told apart by content, not by name) whose header states its size. Reads at most one chunk past
 * the announced end, and holds nothing but the result and that chunk. Throws `invalid_data` naming announced and actual bytes when the file
 * is shorter, longer or corrupt, `out_of_memory`, `io`.
 */
export async function readFramed(path: string, framed: FramedFile): Promise<Uint8Array> {
  const size = await fileSize(path)
  // files that are made while they are read have no size, and may have no end
  if (size === 0) throw invalidFile(path, `expected a header of ${framed.headerBytes} bytes but the file ends after 0`)
  const handle = await onFile(path, () => openForReading(path))
  try {
    if (await onFile(path, () => isGzip(handle))) return await unpackFramed(path, handle, size, framed)
    return await onFile(path, () => readPlain(path, handle, size, framed))
  } finally {
    await handle.close()
  }
}

const endsIn = (path: string, headerBytes: number, received: number): AludelError =>
  invalidFile(path, `expected a header of ${headerBytes} bytes but the file ends after ${received}`)
const endsAfter = (path: string, total: number, received: number): AludelError =>
  invalidFile(path, `the header announces ${total} bytes but the file ends after ${received}`)

async function readPlain(path: string, handle: FileHandle, size: number, { headerBytes, totalBytes }: FramedFile): Promise<Uint8Array> {
  const header = await readUpTo(handle, new Uint8Array(headerBytes))
  if (header.length < headerBytes) throw endsIn(path, headerBytes, header.length)
  const total = totalBytes(header)
  if (size !== total) throw invalidFile(path, `the header announces ${total} bytes but the file has ${size}`)
  const bytes = await readUpTo(handle, allocate(path, total))
  if (bytes.length < total) throw endsAfter(path, total, bytes.length)
  return bytes
}

async function unpackFramed(path: string, handle: FileHandle, size: number, { headerBytes, totalBytes }: FramedFile): Promise<Uint8Array> {
  const file = handle.createReadStream({ start: 0, end: size - 1, highWaterMark: 1 << 18, autoClose: false })
  const decoded = file.pipe(createGunzip({ chunkSize: 1 << 18 }))
  // pipe() does not forward errors of its source
  file.on('error', (error) => decoded.destroy(error))
  let start: Uint8Array = new Uint8Array(0)
  let bytes: Uint8Array | undefined
  let received = 0
  try {
    for await (const chunk of decoded as AsyncIterable<Uint8Array>) {
      if (bytes === undefined) {
        start = asBytes(Buffer.concat([start, chunk]))
        received = start.length
        if (received < headerBytes) continue
        const total = totalBytes(start)
        if (total > size * mostGrowth)
          throw invalidFile(path, `the header announces ${total} bytes, more than ${size} packed ones can hold`)
        if (received > total) throw tooLong(path, total)
        bytes = allocate(path, total)
        bytes.set(start)
      } else {
        if (received + chunk.length > bytes.length) throw tooLong(path, bytes.length)
        bytes.set(chunk, received)
        received += chunk.length
      }
    }
  } catch (failure) {
    const cause = systemFailure(failure, path)
    if (cause instanceof AludelError) throw cause
    const detail = cause instanceof Error ? cause.message : String(cause)
    const wanted = bytes ? bytes.length : `at least ${headerBytes}`
    throw invalidFile(path, `expected ${wanted} bytes but reading failed after ${received} (${detail})`, { cause })
  } finally {
    file.destroy()
    decoded.destroy()
  }
  if (bytes === undefined) throw endsIn(path, headerBytes, received)
  if (received < bytes.length) throw endsAfter(path, bytes.length, received)
  return bytes
}

const tooLong = (path: string, total: number): AludelError =>
  invalidFile(path, `the header announces ${total} bytes but more follow after them`)
