/** @file Writing beside what others have written: a file that exists keeps its bytes, and a folder that holds other files is left alone. */
import { readdir } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { exists, fileSize, maxFileBytes, readWhole } from '../data/file-bytes.js'
import { AludelError, isMissing, onFile } from '../errors.js'
import { writeAtomic } from '../files/atomic-file.js'
import { makeDirectory } from '../files/make-directory.js'

export interface NewFile {
  /** Below the folder, with '/'. */
  readonly path: string
  readonly bytes: Uint8Array
}

const todo = 'remove it or choose another place'

/** Writes one file, or finds it there with the same bytes. Throws `invalid_option` when it holds others, `io`. */
export async function writeNewFile(path: string, bytes: Uint8Array): Promise<void> {
  if (await exists(path)) {
    if ((await fileSize(path)) === bytes.length && Buffer.compare(await readWhole(path, maxFileBytes), bytes) === 0) return
    throw new AludelError('invalid_option', `${path}: exists and holds something else; ${todo}`)
  }
  await onFile(dirname(path), () => makeDirectory(dirname(path)))
  await writeAtomic(path, bytes)
}

/**
 * Writes files into a folder; those of an earlier export of the same set are found there and kept. Throws `invalid_option` before the first
 * is written when the folder holds a file of another name, and when a file of one of the names holds other bytes.
 */
export async function writeNewFolder(folder: string, names: ReadonlySet<string>, files: AsyncIterable<NewFile>): Promise<number> {
  for (const name of await filesBelow(folder)) {
    if (!names.has(name)) throw new AludelError('invalid_option', `${folder}: holds ${name}, which this export does not write; ${todo}`)
  }
  let bytes = 0
  for await (const file of files) {
    await writeNewFile(join(folder, file.path), file.bytes)
    bytes += file.bytes.length
  }
  return bytes
}

/** Files below a folder, with '/'; the temporary files that a crash leaves are not listed. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = await onFile(folder, () =>
    readdir(folder, { recursive: true, withFileTypes: true }).catch((error) => {
      if (isMissing(error) && error.code === 'ENOENT') return []
      throw error
    }),
  )
  return entries
    .filter((entry) => !entry.isDirectory() && !entry.name.endsWith('.partial'))
    .map((entry) =>
      relative(folder, join(parentOf(entry), entry.name))
        .split(sep)
        .join('/'),
    )
}

/** Newer versions of Node have `parentPath` only, the oldest supported one has both. */
const parentOf = (entry: { readonly path?: string; readonly parentPath?: string }): string => (entry.parentPath ?? entry.path) as string
