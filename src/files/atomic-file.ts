/** @file Files that are either old or new, never half: temporary file, fsync, rename, fsync of the directory. */
import { open, readdir, rename, rm, writeFile } from 'node:fs/promises'
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
): Promise<void> => onFile(path, () => replaceFile(path, content, bytes))

async function replaceFile(
  path: string,
  content: string | Uint8Array | AsyncIterable<Uint8Array>,
  bytes: number | undefined,
): Promise<void> {
  const directory = dirname(path)
  const temporary = join(directory, `.${basename(path)}${temporarySuffix}`)
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
  await syncDirectory(directory)
}

function roomFailure(error: unknown, path: string, bytes: number | undefined): unknown {
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
      if (name.startsWith('.') && name.endsWith(temporarySuffix)) await rm(join(dir, name), { force: true })
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
