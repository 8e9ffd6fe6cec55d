/** @file ImageFolder layout: one folder of images per class, or images alone, with or without folders for the splits above. */
import { basename, join, resolve } from 'node:path'
import { checkPath } from '../arguments.js'
import { AludelError, expected } from '../errors.js'
import { checkSplit, type Dataset, type Split } from './dataset.js'
import { invalidFile } from './file-bytes.js'
import { type HoldOut, holdOutRows } from './hold-out.js'
import { type ClassFiles, classFolders, isFolder } from './image-files.js'
import { imagenetSubset, imagenetSubsetNames } from './imagenet-subsets.js'
import {
  byClass,
  checkListing,
  checkTraining,
  type ImageReading,
  type LabelledFiles,
  type LabelledFolder,
  readLabelled,
} from './labelled-files.js'
import { isUnlabelled, unlabelledFiles } from './unlabelled-folder.js'

/** Names of the folder with the test images, the first that exists counts: `test` of ImageNet has no labels, so it comes last. */
const testNames = ['val', 'valid', 'validation', 'test']

export interface ListingOptions extends HoldOut {
  /**
   * Folders that are the classes, in label order; the others are left out. A list of names, or the name of one of ImageNet's 10-class
   * subsets such as 'imagenette' or 'imagenet-a', whose folders are named by synset. Default: all folders.
   */
  readonly classes?: string | readonly string[]
  /** 'none' reads all images as a data set without labels, whatever folders they are in; default: folders are classes. */
  readonly labels?: 'none'
}

export interface ImageFolderOptions extends ImageReading, ListingOptions {}

/**
 * Reads `dir/train/CLASS/…` and, for the test split, `dir/val/CLASS/…` (or valid, validation, test). Without these folders the classes stand
 * in `dir` itself, and a part of each is held out for testing by `holdOutRows`; so it is when there is `train` alone. Classes are the
 * folders of training images in byte order of their names, or those of `classes`. Images [N, size, size, 3] uint8; constants are ImageNet's.
 * Training images that are in no folder have no labels, nor have the test images then; of them `holdout` alone holds a part out.
 * @throws AludelError `not_found` without the directory or a folder asked for, `invalid_data` naming the class that is empty, the file
 * that is no whole image, or images beside folders, `io`, `invalid_option`.
 */
export async function imageFolder(dir: string, split: Split = 'train', options: ImageFolderOptions = {}): Promise<Dataset> {
  const { holdout, splitSeed, classes, labels, ...reading } = options
  const rule = { ...(holdout !== undefined && { holdout }), ...(splitSeed !== undefined && { splitSeed }) }
  const chosen = { ...(classes !== undefined && { classes }), ...(labels !== undefined && { labels }) }
  return readLabelled(await listImageFolder(dir, split, { ...rule, ...chosen }), reading)
}

/** The files that `imageFolder` reads, none of them opened. Throws what it throws for the directory. */
export async function listImageFolder(dir: string, split: Split, options: ListingOptions = {}): Promise<LabelledFolder> {
  checkPath('folder: directory', dir)
  checkSplit('folder', split)
  const trainDir = (await isFolder(join(dir, 'train'))) ? join(dir, 'train') : dir
  const { classes: choice, labels, ...rule } = options
  if (labels !== undefined && labels !== 'none') throw expected('invalid_option', 'folder: labels', "'none', or no such option", labels)
  if (labels === 'none' && choice !== undefined) throw expected('invalid_option', 'folder: classes', "none beside labels 'none'", choice)
  const testDir = trainDir === dir ? undefined : await findTestDir(dir)
  const name = basename(resolve(dir)) || 'folder'
  if (labels === 'none' || (choice === undefined && (await isUnlabelled(trainDir)))) {
    const files = await unlabelledFiles(name, split, { trainDir, testDir }, rule)
    return checkListing({ name, kind: 'folder', split, classes: [], ...files })
  }
  const chosen = choice === undefined ? undefined : chosenClasses(choice)
  const training = await classFolders(trainDir, chosen)
  const missing = chosen?.find((one) => !training.some(({ name }) => name === one))
  if (missing !== undefined) throw new AludelError('not_found', `${trainDir}: has no folder '${missing}' of the classes asked for`)
  await checkTraining(trainDir, training)
  const classes = training.map(({ name }) => name)
  const files = await filesOf(split, { training, testDir, chosen }, rule)
  return checkListing({ name, kind: 'folder', split, classes, ...files })
}

async function findTestDir(dir: string): Promise<string | undefined> {
  for (const name of testNames) if (await isFolder(join(dir, name))) return join(dir, name)
  return undefined
}

interface Layout {
  readonly training: readonly ClassFiles[]
  readonly testDir: string | undefined
  readonly chosen: readonly string[] | undefined
}

async function filesOf(split: Split, { training, testDir, chosen }: Layout, rule: HoldOut): Promise<LabelledFiles> {
  if (testDir !== undefined) return byClass(split === 'train' ? training : await matchClasses(testDir, training, chosen))
  const { paths, names, labels } = byClass(training)
  const rows = holdOutRows(labels, training.length, split, rule)
  const at = (list: readonly string[]) => Array.from(rows, (row) => list[row])
  return { paths: at(paths), names: at(names), labels: rows.map((row) => labels[row]) }
}

/** Folder names of a list, or of a subset by name. */
function chosenClasses(choice: string | readonly string[]): readonly string[] {
  if (typeof choice === 'string') return imagenetSubset(choice).classes.map(({ synset }) => synset)
  const names: unknown = choice
  if (!Array.isArray(names) || names.length === 0 || names.some((name) => typeof name !== 'string' || name === ''))
    throw expected('invalid_option', 'folder: classes', `names of folders, or one of ${imagenetSubsetNames.join(', ')}`, choice)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw new AludelError('invalid_option', `folder: classes: '${twice}' is there twice`)
  return names
}

/** The test images of each training class, none for one that has no folder; a class of its own is an error unless classes were `chosen`. */
export async function matchClasses(testDir: string, training: readonly ClassFiles[], chosen?: readonly string[]): Promise<ClassFiles[]> {
  const found = await classFolders(testDir, chosen)
  const stranger = found.find(({ name }) => !training.some((known) => known.name === name))
  if (stranger) throw invalidFile(join(testDir, stranger.name), 'the training images have no class of this name')
  return training.map(({ name }) => found.find((one) => one.name === name) ?? { name, dir: join(testDir, name), files: [] })
}
