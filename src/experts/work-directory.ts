/** @file Where experts grow until they are finished: a folder for each group that is trained together, locked by the process that works in it. */
import { readdir, rmdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { isMissing, onFile } from '../errors.js'

export const progressDir = 'progress'

/** Folder of the experts [first, first + count). */
export const groupDir = (dir: string, first: number, count: number): string => {
  const number = (expert: number) => String(expert).padStart(4, '0')
  return join(dir, progressDir, `experts-${number(first)}-${number(first + count - 1)}`)
}

/** Whether the experts [first, first + count) have a folder. Throws `io`. */
export const isBegun = async (dir: string, first: number, count: number): Promise<boolean> =>
  (await begunGroups(dir)).includes(basename(groupDir(dir, first, count)))

/** Groups of experts that are begun and not finished, by the names of their folders. Throws `io`. */
export const begunGroups = (dir: string): Promise<string[]> =>
  onFile(dir, () =>
    readdir(join(dir, progressDir)).catch((error) => {
      if (isMissing(error)) return []
      throw error
    }),
  )

/** Removes the folder of the groups unless one is begun, by this process or another. */
export const removeEmpty = (dir: string): Promise<void> => rmdir(join(dir, progressDir)).catch(() => undefined)
