/** @file From files sorted into classes to a data set: the last step of every reader of image folders. */
import { AludelError } from '../errors.js'
import { recipeStatistics } from './channel-statistics.js'
import { adoptDataset, type Dataset, type Split } from './dataset.js'
import { type DecodeOptions, decodeImages } from './decode-images.js'
import { decodeCached } from './decoded-cache.js'
import { type ClassFiles, namesIn } from './image-files.js'
import type { ChannelStatistics } from './normalize.js'

export interface ImageReading extends DecodeOptions {
  /** Directory that decoded images are kept in, by content; default none. */
  readonly cache?: string
}

export interface LabelledFiles {
  readonly paths: readonly string[]
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
  labels: Int32Array.from(classes.flatMap(({ files }, c) => files.map(() => c))),
})

/** Throws `invalid_data` for a folder without classes, naming what it holds, or one with a class that has no image. */
export async function checkTraining(dir: string, classes: readonly ClassFiles[]): Promise<void> {
  if (classes.length === 0) {
    const names = (await namesIn(dir)).slice(0, 5).join(', ')
    throw new AludelError('invalid_data', `${dir}: expected a folder of images for each class but it holds ${names || 'nothing'}`)
  }
  const empty = classes.find(({ files }) => files.length === 0)
  if (empty) {
    throw new AludelError('invalid_data', `${dir}: class '${empty.name}' has no JPEG, PNG or WebP file; add some or remove its folder`)
  }
}

/** Decodes the files of a split. Mirrored photographs keep their class. */
export async function readLabelled(folder: LabelledFolder, { cache, ...decode }: ImageReading): Promise<Dataset> {
  const { name, kind, split, classes, paths, labels } = folder
  if (paths.length === 0) throw new AludelError('invalid_data', `${name}: no image of a known class to read for the ${split} split`)
  const { images, shape } = await (cache === undefined ? decodeImages(paths, decode) : decodeCached(cache, paths, decode))
  const { mean, std } = recipeStatistics(kind) as ChannelStatistics
  return adoptDataset({ name, split, classes, images, shape, labels, mean, std, flip: true })
}
