/** @file The directory that a command puts results into: made and locked while it works, and taken away again where nothing came of it. */
import { rmdir } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { onFile } from '../errors.js'
import { locked } from '../experiment/run-lock.js'
import { makeDirectory } from '../files/make-directory.js'

/** Runs `work` in `dir`. When it fails, directories that were made for it and are empty go; files stay, whatever they are. */
export async function inResultDirectory<T>(dir: string, work: () => Promise<T>): Promise<T> {
  const first = await onFile(dir, () => makeDirectory(dir))
  try {
    return await locked(dir, work)
  } catch (error) {
    if (first !== undefined) await removeEmpty(resolve(dir), first)
    throw error
  }
}

/** Removes `dir` and its parents up to `first`, as far as they are empty. What failed first is what counts. */
async function removeEmpty(dir: string, first: string): Promise<void> {
  for (let path = dir; path.length >= first.length; path = dirname(path)) {
    const gone = await rmdir(path).then(
      () => true,
      () => false,
    )
    if (!gone) return
  }
}
