/** @file From files, sorted into classes or not, to a data set: the last step of every reader of image folders. */
import { sep } from 'node:path'
import { AludelError } from '../errors.js'
import { recipeStatistics } from './channel-statistics.js'
import { adoptDataset, type Dataset, type Split } from './dataset.js'
import { type DecodeOptions, decodeImages } from './decode-images.js'
import { decodeCached } from './decoded-cache.js'
import { filesHash } from './files-hash.js'
import { type ClassFiles, namesIn } from './image-files.js'
import { isLabelled } from './labels.js'
import type { ChannelStatistics } from './normalize.js'

export interface ImageReading extends DecodeOptions {
  /** Directory that decoded images are kept in, by content; default none. */
  readonly cache?: string
}

export interface LabelledFiles {
  readonly paths: readonly string[]
  /** Paths below the folder of the class, with '/' on every system; of files without labels below that of them all. */
  readonly names: readonly string[]
  /** Empty where there are none, as `classes` is. */
  readonly labels: Int32Array
}

export interface LabelledFolder extends LabelledFiles {
  readonly name: string
  /** As the table of statistics knows it. */
  readonly kind: string
  readonly split: Split
  readonly classes: readonly string[]
}

/** Class-major: the files of the first class, then those of the second. */
export const byClass = (classes: readonly ClassFiles[]): LabelledFiles => ({
  paths: classes.flatMap(({ files }) => files),
  names: classes.flatMap(({ dir, files }) => files.map((path) => path.slice(dir.length + 1).replaceAll(sep, '/'))),
  labels: Int32Array.from(classes.flatMap(({ files }, c) => files.map(() => c))),
})

/** Throws `invalid_data` for a folder without classes, naming what it holds, or one with a class that has no image. */
export async function checkTraining(dir: string, classes: readonly ClassFiles[]): Promise<void> {
  if (classes.length === 0) {
    const names = (await namesIn(dir)).slice(0, 5).join(', ')
    throw new AludelError(
      'invalid_data',
      `${dir}: expected a folder of images for each class, or images without labels, but it holds ${names || 'nothing'}`,
    )
  }
  const empty = classes.find(({ files }) => files.length === 0)
  if (empty) {
    throw new AludelError('invalid_data', `${dir}: class '${empty.name}' has no JPEG, PNG or WebP file; add some or remove its folder`)
  }
}

/** The listing itself; throws `invalid_data` when the split has no image. */
export function checkListing(folder: LabelledFolder): LabelledFolder {
  if (folder.paths.length > 0) return folder
  const what = isLabelled(folder) ? 'image of a known class' : 'JPEG, PNG or WebP file'
  throw new AludelError('invalid_data', `${folder.name}: no ${what} to read for the ${folder.split} split`)
}

/** What a class is left with when files were not readable. Throws `invalid_data` naming a class that had images and has none. */
export function checkClassesLeft(folder: LabelledFolder, unreadable: readonly { readonly row: number }[]): void {
  if (!isLabelled(folder)) return
  const { name, classes, labels } = folder
  const counts = classes.map(() => 0)
  for (const label of labels) counts[label]++
  for (const { row } of unreadable) if (--counts[labels[row]] === 0) throw emptied(name, classes[labels[row]])
}

const emptied = (name: string, ofClass: string): AludelError =>
  new AludelError('invalid_data', `${name}: not one image of class '${ofClass}' could be decoded; look at its files or take the class out`)

/** Decodes the files of a split. Mirrored photographs keep their class. */
export async function readLabelled(folder: LabelledFolder, { cache, ...decode }: ImageReading): Promise<Dataset> {
  const { name, kind, split, classes, paths, names, labels } = folder
  const decoded = await (cache === undefined ? decodeImages(paths, decode) : decodeCached(cache, paths, decode))
  const { images, shape, hashes, unreadable } = decoded
  checkClassesLeft(folder, unreadable)
  const { mean, std } = recipeStatistics(kind) as ChannelStatistics
  const left = unreadable.length === 0 ? labels : labels.filter((_, row) => hashes[row] !== undefined)
  return adoptDataset(
    { name, split, classes, images, shape, labels: left, mean, std, flip: true },
    { filesSha256: await filesHash({ classes, names, labels }, (row) => hashes[row]), ...(unreadable.length > 0 && { unreadable }) },
  )
}
