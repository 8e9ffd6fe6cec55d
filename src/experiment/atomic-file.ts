/** @file Files that are either old or new, never half: temporary file, fsync, rename, fsync of the directory. */
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

const temporarySuffix = '.partial'

/** Replaces `path` by `content`. A crash at any moment leaves the old file or the new one, and at most a stray `.name.partial`. */
export async function writeAtomic(path: string, content: string | Uint8Array): Promise<void> {
  const directory = dirname(path)
  const temporary = join(directory, `.${basename(path)}${temporarySuffix}`)
  const handle = await open(temporary, 'w')
  try {
    await handle.writeFile(content)
    await handle.sync()
  } catch (error) {
    await handle.close()
    await rm(temporary, { force: true })
    throw error
  }
  await handle.close()
  await rename(temporary, path)
  await syncDirectory(directory)
}

/** Creates `dir` with its parents and removes what an earlier crash left behind. */
export async function prepareDirectory(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true })
  for (const name of await readdir(dir)) {
    if (name.startsWith('.') && name.endsWith(temporarySuffix)) await rm(join(dir, name), { force: true })
  }
}

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
