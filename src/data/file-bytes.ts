/** @file Bounded reads: a data file is read only as far as its own header allows, so a gzip bomb or a huge file costs nothing. */
import { constants, createReadStream } from 'node:fs'
import { access, open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createGunzip } from 'node:zlib'
import { AludelError } from '../errors.js'

/** No single decoded file may be larger: two bytes short of what one Node buffer always holds. */
export const maxFileBytes = 2 ** 31 - 2

/** The same bytes as a plain Uint8Array: nothing above the readers knows Node's Buffer. */
export const asBytes = (buffer: Buffer): Uint8Array => new Uint8Array(buffer.buffer as ArrayBuffer, buffer.byteOffset, buffer.length)

export const exists = (path: string): Promise<boolean> =>
  access(path, constants.F_OK).then(
    () => true,
    () => false,
  )

/** The first of `names` that exists in `dir`, or a `not_found` error naming all of them. */
export async function findFile(dir: string, names: readonly string[], todo: string): Promise<string> {
  for (const name of names) {
    if (await exists(join(dir, name))) return join(dir, name)
  }
  throw new AludelError('not_found', `${dir}: expected one of ${names.join(', ')} but found none; ${todo}`)
}

export const invalidFile = (path: string, what: string, options?: ErrorOptions): AludelError =>
  new AludelError('invalid_data', `${path}: ${what}`, options)

/** Size of a regular file in bytes; `not_found` or `invalid_data` otherwise. */
export async function fileSize(path: string): Promise<number> {
  const info = await stat(path).catch((cause) => {
    throw new AludelError('not_found', `${path}: expected a readable file (${cause.code ?? cause.message})`, { cause })
  })
  if (!info.isFile()) throw invalidFile(path, 'expected a regular file but it is not one')
  return info.size
}

/** The whole file, after its size was found to be at most `limit`. */
export async function readWhole(path: string, limit: number): Promise<Uint8Array> {
  const size = await fileSize(path)
  if (size > limit) throw invalidFile(path, `expected at most ${limit} bytes but it has ${size}`)
  const handle = await open(path, 'r')
  try {
    return asBytes(await handle.readFile())
  } finally {
    await handle.close()
  }
}

async function isGzip(path: string): Promise<boolean> {
  const handle = await open(path, 'r')
  try {
    const { bytesRead, buffer } = await handle.read(new Uint8Array(2), 0, 2, 0)
    return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b
  } finally {
    await handle.close()
  }
}

export interface FramedFile {
  readonly headerBytes: number
  /** Total decoded size that a header announces; throws when the header is wrong. Called once, with at least `headerBytes` bytes. */
  readonly totalBytes: (header: Uint8Array) => number
}

/**
 * Decoded bytes of a plain or gzip file (told apart by content, not by name) whose header states its size. Reads at most one chunk past
 * the announced end. Throws `invalid_data` naming announced and actual bytes when the file is shorter, longer or corrupt.
 */
export async function readFramed(path: string, { headerBytes, totalBytes }: FramedFile): Promise<Uint8Array> {
  const size = await fileSize(path)
  const gzip = await isGzip(path)
  const file = createReadStream(path, { highWaterMark: 1 << 18 })
  const decoded = gzip ? file.pipe(createGunzip({ chunkSize: 1 << 18 })) : file
  // pipe() does not forward errors of its source
  if (gzip) file.on('error', (error) => decoded.destroy(error))
  const chunks: Uint8Array[] = []
  let received = 0
  let total: number | undefined
  try {
    for await (const chunk of decoded) {
      chunks.push(chunk as Uint8Array)
      received += (chunk as Uint8Array).length
      if (total === undefined && received >= headerBytes) {
        total = totalBytes(asBytes(Buffer.concat(chunks)))
        if (!gzip && size !== total) throw invalidFile(path, `the header announces ${total} bytes but the file has ${size}`)
      }
      if (total !== undefined && received > total) throw invalidFile(path, `the header announces ${total} bytes but more follow after them`)
    }
  } catch (cause) {
    if (cause instanceof AludelError) throw cause
    const detail = cause instanceof Error ? cause.message : String(cause)
    throw invalidFile(path, `expected ${total ?? `at least ${headerBytes}`} bytes but reading failed after ${received} (${detail})`, {
      cause,
    })
  } finally {
    file.destroy()
    decoded.destroy()
  }
  if (total === undefined) throw invalidFile(path, `expected a header of ${headerBytes} bytes but the file ends after ${received}`)
  if (received < total) throw invalidFile(path, `the header announces ${total} bytes but the file ends after ${received}`)
  return asBytes(Buffer.concat(chunks, total))
}
