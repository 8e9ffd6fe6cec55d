/** @file Directories with their parents. Node's own recursive mkdir tries for ever where the system says ENOENT under a parent that exists (/proc). */
import { mkdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { isMissing } from '../errors.js'

/** Creates `dir` and the parents it lacks and returns the first one made, if any; fine when it exists. Failures are those of the system. */
export async function makeDirectory(dir: string): Promise<string | undefined> {
  const path = resolve(dir)
  try {
    await mkdir(path)
    return path
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' || code === 'EROFS' || code === 'EACCES' || code === 'EPERM') {
      if (await isDirectory(path)) return undefined
      throw error
    }
    if (code !== 'ENOENT') throw error
    const parent = dirname(path)
    const first = (await isDirectory(parent)) ? undefined : await makeDirectory(parent)
    // once more, and only once: the parent may be there because others have made it meanwhile, and so may the directory itself
    await mkdir(path).catch((again) => {
      if (again.code !== 'EEXIST') throw again
    })
    return first ?? path
  }
}

const isDirectory = (path: string): Promise<boolean> =>
  stat(path).then(
    (info) => info.isDirectory(),
    (error) => {
      if (isMissing(error)) return false
      throw error
    },
  )
