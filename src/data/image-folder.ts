/** @file ImageFolder layout: one folder of images per class, with or without folders for the splits above. */
import { basename, join, resolve } from 'node:path'
import { checkPath } from '../arguments.js'
import { checkSplit, type Dataset, type Split } from './dataset.js'
import { invalidFile } from './file-bytes.js'
import { type HoldOut, holdOutRows } from './hold-out.js'
import { type ClassFiles, classFolders, isFolder } from './image-files.js'
import { byClass, checkTraining, type ImageReading, type LabelledFiles, readLabelled } from './labelled-files.js'

/** Names of the folder with the test images, the first that exists counts: `test` of ImageNet has no labels, so it comes last. */
const testNames = ['val', 'valid', 'validation', 'test']

export interface ImageFolderOptions extends ImageReading, HoldOut {}

/**
 * Reads `dir/train/CLASS/…` and, for the test split, `dir/val/CLASS/…` (or valid, validation, test). Without these folders the classes stand
 * in `dir` itself, and a part of each is held out for testing by `holdOutRows`; so it is when there is `train` alone. Classes are the
 * folders of training images in byte order of their names. Images [N, size, size, 3] uint8; constants are ImageNet's.
 * @throws AludelError `not_found` without the directory, `invalid_data` naming the class that is empty or the file that is no whole image,
 * `io`, `invalid_option`.
 */
export async function imageFolder(dir: string, split: Split = 'train', options: ImageFolderOptions = {}): Promise<Dataset> {
  checkPath('folder: directory', dir)
  checkSplit('folder', split)
  const trainDir = (await isFolder(join(dir, 'train'))) ? join(dir, 'train') : dir
  const training = await classFolders(trainDir)
  await checkTraining(trainDir, training)
  const classes = training.map(({ name }) => name)
  const { holdout, splitSeed, ...reading } = options
  const testDir = trainDir === dir ? undefined : await findTestDir(dir)
  const files = await filesOf(split, training, testDir, {
    ...(holdout !== undefined && { holdout }),
    ...(splitSeed !== undefined && { splitSeed }),
  })
  return readLabelled({ name: basename(resolve(dir)) || 'folder', kind: 'folder', split, classes, ...files }, reading)
}

async function findTestDir(dir: string): Promise<string | undefined> {
  for (const name of testNames) if (await isFolder(join(dir, name))) return join(dir, name)
  return undefined
}

async function filesOf(split: Split, training: readonly ClassFiles[], testDir: string | undefined, rule: HoldOut): Promise<LabelledFiles> {
  if (testDir !== undefined) return byClass(split === 'train' ? training : await matchClasses(testDir, training))
  const { paths, labels } = byClass(training)
  const rows = holdOutRows(labels, training.length, split, rule)
  return { paths: Array.from(rows, (row) => paths[row]), labels: rows.map((row) => labels[row]) }
}

/** The test images of each training class, none for one that has no folder; a class of its own is an error. */
export async function matchClasses(testDir: string, training: readonly ClassFiles[]): Promise<ClassFiles[]> {
  const found = await classFolders(testDir)
  const stranger = found.find(({ name }) => !training.some((known) => known.name === name))
  if (stranger) throw invalidFile(join(testDir, stranger.name), 'the training images have no class of this name')
  return training.map(({ name }) => ({ name, files: found.find((one) => one.name === name)?.files ?? [] }))
}
