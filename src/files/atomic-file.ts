/** @file Files that are either old or new, never half: temporary file, fsync, rename, fsync of the directory. */
import { randomBytes } from 'node:crypto'
import { open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { AludelError, onFile } from '../errors.js'
import { makeDirectory } from './make-directory.js'

const temporarySuffix = '.partial'

/** Codes of a system that has no room left, and what to do. */
const noRoom: Readonly<Record<string, string>> = {
  ENOSPC: 'no space left on the device; free some',
  EDQUOT: 'the disk quota is used up; free some',
  EFBIG: 'the file would be larger than allowed; raise the limit',
}

/**
 * Replaces `path` by `content`, given whole or as pieces of `bytes` in all. A crash at any moment leaves the old file or the new one, and
 * at most a stray `.name.partial`. Throws `io`, naming `path` and where there is no room the bytes needed; the old file stays.
 */
export const writeAtomic = (
  path: string,
  content: string | Uint8Array | AsyncIterable<Uint8Array>,
  bytes = typeof content === 'string' ? Buffer.byteLength(content) : content instanceof Uint8Array ? content.length : undefined,
): Promise<void> => onFile(path, () => replaceFile({ path, temporary: temporaryOf(path), content, bytes }))

/**
 * As `writeAtomic`, for a file that several processes or threads may write at once: the last to finish gives it its content. Temporary
 * files that others have left in the directory a day ago or earlier are removed.
 */
export const writeShared = (path: string, content: Uint8Array | AsyncIterable<Uint8Array>, bytes: number): Promise<void> =>
  onFile(path, async () => {
    await replaceFile({ path, temporary: temporaryOf(`${path}.${randomBytes(8).toString('hex')}`), content, bytes })
    await removeAbandoned(dirname(path))
  })

const temporaryOf = (path: string): string => join(dirname(path), `.${basename(path)}${temporarySuffix}`)
const isTemporary = (name: string): boolean => name.startsWith('.') && name.endsWith(temporarySuffix)

/** Longer than any write takes. */
const abandonedMs = 24 * 3600 * 1000

async function removeAbandoned(dir: string): Promise<void> {
  for (const name of (await readdir(dir)).filter(isTemporary)) {
    const path = join(dir, name)
    const info = await stat(path).catch(() => undefined)
    // whoever cannot remove it leaves it to another
    if (info && Date.now() - info.mtimeMs > abandonedMs) await rm(path, { force: true }).catch(() => undefined)
  }
}

interface Replacement {
  readonly path: string
  readonly temporary: string
  readonly content: string | Uint8Array | AsyncIterable<Uint8Array>
  readonly bytes: number | undefined
}

async function replaceFile({ path, temporary, content, bytes }: Replacement): Promise<void> {
  const handle = await open(temporary, 'w')
  try {
    await writeFile(handle, content)
    await handle.sync()
    await handle.close()
    await rename(temporary, path)
  } catch (error) {
    // what failed first is what counts
    await handle.close().catch(() => undefined)
    await rm(temporary, { force: true }).catch(() => undefined)
    throw roomFailure(error, path, bytes)
  }
  await syncDirectory(dirname(path))
}

/** A failure to write `path`; one for want of room as `io`, with the bytes that the file needs. */
export function roomFailure(error: unknown, path: string, bytes: number | undefined): unknown {
  const { code = '' } = (error ?? {}) as NodeJS.ErrnoException
  if (!Object.hasOwn(noRoom, code)) return error
  const needed = bytes === undefined ? '' : `it needs ${bytes} bytes: `
  return new AludelError('io', `${path}: could not be written, ${needed}${noRoom[code]} (${code})`, { cause: error })
}

/** Creates `dir` with its parents and removes what an earlier crash left behind. Only for who may write there alone. Throws `io`, naming `dir`. */
export const prepareDirectory = (dir: string): Promise<void> =>
  onFile(dir, async () => {
    const first = await makeDirectory(dir)
    if (first !== undefined) await syncDirectory(dirname(first))
    for (const name of await readdir(dir)) {
      if (isTemporary(name)) await rm(join(dir, name), { force: true })
    }
  })

/** A rename is durable only when its directory is; systems that cannot open directories do this by themselves. */
export async function syncDirectory(dir: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(dir, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
