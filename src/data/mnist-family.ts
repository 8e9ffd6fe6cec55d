/** @file The four-file layout shared by MNIST and its drop-in replacements. */
import { checkPath } from '../arguments.js'
import { adoptDataset, checkSplit, type Dataset, type Split } from './dataset.js'
import { findFile, invalidFile } from './file-bytes.js'
import { readIdx } from './idx.js'

export interface MnistLike {
  readonly name: string
  readonly classes: readonly string[]
  readonly mean: number
  readonly std: number
  readonly flip: boolean
}

/** Names under which the same file is passed around: with and without .gz, dash or dot before 'idx'. */
const spellings = (stem: string, kind: string): string[] =>
  ['-', '.'].flatMap((dot) => [`${stem}${dot}${kind}-ubyte`, `${stem}${dot}${kind}-ubyte.gz`])

export async function readMnistLike(dir: string, split: Split, { name, classes, mean, std, flip }: MnistLike): Promise<Dataset> {
  checkPath(`${name}: directory`, dir)
  checkSplit(name, split)
  const prefix = split === 'train' ? 'train' : 't10k'
  const todo = `give the directory that holds the four ${name} files`
  const imagesPath = await findFile(dir, spellings(`${prefix}-images`, 'idx3'), todo)
  const labelsPath = await findFile(dir, spellings(`${prefix}-labels`, 'idx1'), todo)
  const images = await readIdx(imagesPath, 3)
  const labels = await readIdx(labelsPath, 1)
  const [n, h, w] = images.shape
  if (labels.shape[0] !== n) throw invalidFile(labelsPath, `expected ${n} labels, one per image, but received ${labels.shape[0]}`)
  const wrong = labels.data.findIndex((label) => label >= classes.length)
  if (wrong >= 0) {
    throw invalidFile(labelsPath, `label ${wrong}: expected a class in [0, ${classes.length}) but received ${labels.data[wrong]}`)
  }
  return adoptDataset({
    name,
    split,
    classes,
    images: images.data,
    shape: [n, h, w, 1],
    labels: Int32Array.from(labels.data),
    mean: [mean],
    std: [std],
    flip,
  })
}
