/** @file Tiny ImageNet: 64x64 RGB, classes by WordNet id; the official layout with its annotated val folder, or val sorted into classes. */
import { join } from 'node:path'
import { checkPath } from '../arguments.js'
import { checkSplit, type Dataset, type Split } from './dataset.js'
import { exists, invalidFile, readText } from './file-bytes.js'
import { byBytes, type ClassFiles, classFolders } from './image-files.js'
import { matchClasses } from './image-folder.js'
import { byClass, checkListing, checkTraining, type ImageReading, type LabelledFolder, readLabelled } from './labelled-files.js'

/** Longest list of names or annotations. */
const maxTextBytes = 16 << 20

/**
 * Reads Tiny ImageNet from its directory (or its parent): `train/WNID/images/*.JPEG`, and for the test split `val/images/*.JPEG` with the
 * classes of `val/val_annotations.txt`, or `val/WNID/…`. The official test images have no labels and are not read. Classes are the ids in
 * byte order; with `wnids.txt` they must be those listed there. Images [N, 64, 64, 3] uint8 unless a size is given.
 * @throws AludelError `not_found`, `invalid_data` naming file and line, `io`.
 */
export async function tinyImagenet(dir: string, split: Split = 'train', options: ImageReading = {}): Promise<Dataset> {
  return readLabelled(await listTinyImagenet(dir, split), options)
}

/** The files that `tinyImagenet` reads, none of them opened. Throws what it throws for the directory. */
export async function listTinyImagenet(dir: string, split: Split): Promise<LabelledFolder> {
  checkPath('tiny-imagenet: directory', dir)
  checkSplit('tiny-imagenet', split)
  const nested = join(dir, 'tiny-imagenet-200')
  const root = (await exists(nested)) ? nested : dir
  const training = await classFolders(join(root, 'train'))
  await checkTraining(join(root, 'train'), training)
  await checkListed(join(root, 'wnids.txt'), training)
  const files = byClass(split === 'train' ? training : await testFiles(join(root, 'val'), training))
  const classes = training.map(({ name }) => name)
  return checkListing({ name: 'tiny-imagenet', kind: 'tiny-imagenet', split, classes, ...files })
}

async function checkListed(path: string, training: readonly ClassFiles[]): Promise<void> {
  if (!(await exists(path))) return
  const listed = linesOf(await readText(path, maxTextBytes)).sort(byBytes)
  const there = training.map(({ name }) => name)
  if (listed.join() === there.join()) return
  const missing = listed.find((name) => !there.includes(name))
  const found = missing === undefined ? `a folder '${there.find((name) => !listed.includes(name))}' besides them` : `none for '${missing}'`
  throw invalidFile(path, `expected a folder of training images for each of its ${listed.length} ids but there is ${found}`)
}

async function testFiles(val: string, training: readonly ClassFiles[]): Promise<ClassFiles[]> {
  const annotations = join(val, 'val_annotations.txt')
  if (!(await exists(annotations))) return matchClasses(val, training)
  const files = new Map(training.map(({ name }) => [name, [] as string[]]))
  const seen = new Set<string>()
  for (const [i, line] of linesOf(await readText(annotations, maxTextBytes)).entries()) {
    const [file, id] = line.split('\t')
    const where = `line ${i + 1}`
    if (!file || !id || /[/\\\0]/.test(file))
      throw invalidFile(annotations, `${where}: expected a file name and an id with a tab between them`)
    if (seen.has(file)) throw invalidFile(annotations, `${where}: '${file}' is there twice`)
    seen.add(file)
    const ofClass = files.get(id)
    if (!ofClass) throw invalidFile(annotations, `${where}: expected an id that has training images but received '${id}'`)
    ofClass.push(join(val, 'images', file))
  }
  return Array.from(files, ([name, paths]) => ({ name, dir: join(val, 'images'), files: paths.sort(byBytes) }))
}

const linesOf = (text: string): string[] =>
  text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
