/** @file Files that are either old or new, never half: temporary file, fsync, rename, fsync of the directory. */
import { open, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { onFile } from '../errors.js'
import { makeDirectory } from './make-directory.js'

const temporarySuffix = '.partial'

/**
 * Replaces `path` by `content`. A crash at any moment leaves the old file or the new one, and at most a stray `.name.partial`.
 * Throws `io`, naming `path`, when the system refuses.
 */
export const writeAtomic = (path: string, content: string | Uint8Array): Promise<void> => onFile(path, () => replaceFile(path, content))

async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  const directory = dirname(path)
  const temporary = join(directory, `.${basename(path)}${temporarySuffix}`)
  const handle = await open(temporary, 'w')
  try {
    await handle.writeFile(content)
    await handle.sync()
    await handle.close()
    await rename(temporary, path)
  } catch (error) {
    // what failed first is what counts
    await handle.close().catch(() => undefined)
    await rm(temporary, { force: true }).catch(() => undefined)
    throw error
  }
  await syncDirectory(directory)
}

/** Creates `dir` with its parents and removes what an earlier crash left behind. Throws `io`, naming `dir`. */
export const prepareDirectory = (dir: string): Promise<void> =>
  onFile(dir, async () => {
    await makeDirectory(dir)
    for (const name of await readdir(dir)) {
      if (name.startsWith('.') && name.endsWith(temporarySuffix)) await rm(join(dir, name), { force: true })
    }
  })

/** A rename is durable only when its directory is; systems that cannot open directories do this by themselves. */
async function syncDirectory(dir: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(dir, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
