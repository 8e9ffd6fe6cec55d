/** @file The four-file layout of IDX files shared by MNIST and its drop-in replacements. */
import { basename, resolve } from 'node:path'
import { checkPath } from '../arguments.js'
import { type ArrayOptions, arrayDataset, type ImageArrays } from './array-dataset.js'
import { recipeStatistics } from './channel-statistics.js'
import { adoptDataset, checkSplit, type Dataset, type Split } from './dataset.js'
import { findFile, invalidFile } from './file-bytes.js'
import { readIdx } from './idx.js'
import type { ChannelStatistics } from './normalize.js'

export interface MnistLike {
  /** As the table of statistics knows it. */
  readonly name: string
  readonly classes: readonly string[]
  readonly flip: boolean
}

/** Names under which the same file is passed around: with and without .gz, dash or dot before 'idx'. */
const spellings = (stem: string, kind: string): string[] =>
  ['-', '.'].flatMap((dot) => [`${stem}${dot}${kind}-ubyte`, `${stem}${dot}${kind}-ubyte.gz`])

export async function readMnistLike(dir: string, split: Split, { name, classes, flip }: MnistLike): Promise<Dataset> {
  checkPath(`${name}: directory`, dir)
  checkSplit(name, split)
  const arrays = await readPair(dir, split, name, classes.length)
  const { mean, std } = recipeStatistics(name) as ChannelStatistics
  return adoptDataset({ name, split, classes, ...arrays, mean, std, flip })
}

/**
 * Reads any data set in four IDX files named as MNIST's (plain or .gz): images [N, H, W, 1] uint8, classes by number, mean and standard
 * deviation measured on the training images.
 * @throws AludelError `not_found` when a file is missing, `invalid_data` when one is truncated, corrupt or inconsistent.
 */
export async function idx(dir: string, split: Split = 'train', options: ArrayOptions = {}): Promise<Dataset> {
  checkPath('idx: directory', dir)
  checkSplit('idx', split)
  const train = await readPair(dir, 'train', 'idx')
  const test = split === 'test' ? await readPair(dir, 'test', 'idx') : train
  return arrayDataset(basename(resolve(dir)) || 'idx', { train, test }, split, options)
}

/** Images and labels of one split; labels are checked to be below `classes` where that is known. */
async function readPair(dir: string, split: Split, name: string, classes = 256): Promise<ImageArrays> {
  const prefix = split === 'train' ? 'train' : 't10k'
  const todo = `give the directory that holds the four ${name} files`
  const imagesPath = await findFile(dir, spellings(`${prefix}-images`, 'idx3'), todo)
  const labelsPath = await findFile(dir, spellings(`${prefix}-labels`, 'idx1'), todo)
  const images = await readIdx(imagesPath, 3)
  const labels = await readIdx(labelsPath, 1)
  const [n, h, w] = images.shape
  if (labels.shape[0] !== n) throw invalidFile(labelsPath, `expected ${n} labels, one per image, but received ${labels.shape[0]}`)
  const wrong = labels.data.findIndex((label) => label >= classes)
  if (wrong >= 0) {
    throw invalidFile(labelsPath, `label ${wrong}: expected a class in [0, ${classes}) but received ${labels.data[wrong]}`)
  }
  return { images: images.data, shape: [n, h, w, 1], labels: Int32Array.from(labels.data) }
}
