/** @file Folders of images, one per class: what counts as a class and as an image, in byte order of the names. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AludelError, isMissing, systemFailure } from '../errors.js'
import { invalidFile } from './file-bytes.js'

export interface ClassFiles {
  readonly name: string
  /** The folder that their names are counted from. */
  readonly dir: string
  /** Paths of its images, in byte order of their path below the class. */
  readonly files: readonly string[]
}

const imageEnding = /\.(jpe?g|png|webp)$/i
/** Formats that are images and are not read: leaving them out in silence would shrink a class. */
const otherEnding = /\.(bmp|gif|tiff?|ppm|pgm|avif|heic|jxl|jp2)$/i

export const isImageName = (name: string): boolean => imageEnding.test(name)

/** Folders within folders, which links may turn into an endless path. */
const deepest = 8

const encoder = new TextEncoder()

/** Order of the UTF-8 bytes, whatever the locale. */
export const byBytes = (a: string, b: string): number => Buffer.compare(encoder.encode(a), encoder.encode(b))

/** Names in `dir` but for hidden ones, in byte order. Throws `not_found`, `io`, and `invalid_data` for a name that is no UTF-8. */
export async function namesIn(dir: string): Promise<string[]> {
  const names = await readdir(dir).catch((cause) => {
    if (!isMissing(cause)) throw systemFailure(cause, dir)
    throw new AludelError('not_found', `${dir}: no such directory`, { cause })
  })
  const broken = names.find((name) => name.includes('�'))
  if (broken !== undefined) throw invalidFile(join(dir, broken), 'expected a name in UTF-8; rename it')
  return names.filter((name) => !name.startsWith('.')).sort(byBytes)
}

/** Links are followed. False for what is not there, as a link to nothing. */
export async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch (error) {
    if (isMissing(error)) return false
    throw systemFailure(error, path)
  }
}

/**
 * The folders in `dir` as classes, in byte order of their names; what is no folder is left out. A class may turn out empty. With `chosen`
 * those that are there of the given names, in the given order; the others are not looked into.
 */
export async function classFolders(dir: string, chosen?: readonly string[]): Promise<ClassFiles[]> {
  const classes: ClassFiles[] = []
  const present = await namesIn(dir)
  for (const name of chosen?.filter((one) => present.includes(one)) ?? present) {
    const path = join(dir, name)
    if (await isFolder(path)) classes.push({ name, dir: path, files: await imagesUnder(path) })
  }
  return classes
}

/**
 * Paths of the images in a folder and the folders in it. Files of other endings are left out, but for those of image formats that are not
 * read: they are `invalid_data`, as is a folder nested too deeply.
 */
export async function imagesUnder(dir: string, depth = 0): Promise<string[]> {
  if (depth > deepest) throw invalidFile(dir, `expected at most ${deepest} folders within each other; is a link part of a circle?`)
  const found: string[] = []
  for (const name of await namesIn(dir)) {
    const path = join(dir, name)
    if (isImageName(name)) found.push(path)
    else if (otherEnding.test(name)) throw invalidFile(path, 'expected JPEG, PNG or WebP; convert it or take it out of the folder')
    else if (await isFolder(path)) found.push(...(await imagesUnder(path, depth + 1)))
  }
  return found
}
