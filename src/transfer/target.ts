/** @file A labelled data set that a pretrained network is taken to. */
import { isRecord } from '../arguments.js'
import { measureStatistics } from '../data/channel-statistics.js'
import { asDataset, type Dataset, type DatasetInput } from '../data/dataset.js'
import { checkLabelled } from '../data/labels.js'
import { readPixels } from '../data/pixel-rows.js'
import { fold, type Key, purpose } from '../engine/tensor/key.js'
import { permuting } from '../engine/tensor/philox.js'
import { AludelError, expected } from '../errors.js'
import { inPieces, inTurns, Turn } from '../event-loop.js'
import { resizeImages } from './resize.js'
import type { ImageRows } from './rows.js'

export interface TransferTarget {
  /** What results are listed under. */
  readonly name: string
  readonly train: Dataset
  readonly test: Dataset
}

/** Splits as data sets, or as images and labels of one's own. */
export interface TransferTargetInput {
  readonly name: string
  readonly train: DatasetInput
  readonly test: DatasetInput
}

/** Throws `invalid_option` for what is no target, and what `asDataset` throws. */
export function targetOf(given: TransferTargetInput): TransferTarget {
  const { name, train, test } = isRecord(given) ? given : ({} as Partial<TransferTargetInput>)
  if (typeof name !== 'string' || name === '' || !isRecord(train) || !isRecord(test))
    throw expected('invalid_option', 'transfer: target', '{ name, train, test }, a name and two data sets', given)
  return { name, train: asDataset(train as DatasetInput), test: asDataset(test as DatasetInput) }
}

export interface LabelledRows extends ImageRows {
  readonly pixels: Uint8Array
  readonly labels: Int32Array
}

/** A target at the size of the set, normalised by its own statistics. */
export interface FittedTarget {
  readonly name: string
  readonly classes: number
  readonly flip: boolean
  readonly train: LabelledRows
  readonly test: LabelledRows
  /** Of both splits as they were given, before images were left out. */
  readonly sha256: readonly [string, string]
}

export interface TargetLimits {
  /** Most training images, with the shares of its classes; default all. */
  readonly trainImages?: number | undefined
  /** Most test images, likewise. */
  readonly testImages?: number | undefined
}

/** Throws `invalid_data` for splits with other classes, for training images of fewer than two classes, and without labels. */
export function checkTarget({ name, train, test }: TransferTarget): void {
  const what = `target '${name}'`
  for (const split of [train, test]) checkLabelled(`transfer to ${what}`, split)
  if (train.classes.join('\n') !== test.classes.join('\n'))
    throw expected('invalid_data', what, `test images of the ${train.classes.length} classes of the training images`, test.classes.length)
  const present = train.classes.filter((_, c) => train.classIndices(c).length > 0).length
  if (present < 2)
    throw expected('invalid_data', what, 'training images of at least two classes', present, 'there is nothing to tell apart')
  if (train.shape.slice(1).join() !== test.shape.slice(1).join())
    throw expected('invalid_data', what, `test images [${train.shape.slice(1).join(', ')}]`, test.shape.slice(1))
  for (const { whitened } of [train, test])
    if (whitened) throw new AludelError('invalid_data', `${what}: expected images that are not whitened; give the data set as it was read`)
}

/** How many rows of each class `shareOfRows` takes. */
export function countShares(labels: Int32Array, classes: number, share: number): number[] {
  const sizes = new Array<number>(classes).fill(0)
  for (const label of labels) sizes[label]++
  return sizes.map((size) => shareOf(size, share))
}

/**
 * How many of each class a limit leaves: `most` in all, in proportion (the largest remainders are rounded up), and one at least of every class that has
 * some where the limit has room for them.
 */
export function apportion(sizes: readonly number[], most: number): number[] {
  const total = sizes.reduce((a, b) => a + b, 0)
  if (most >= total) return [...sizes]
  const wanted = sizes.map((size) => (size * most) / total)
  const least = most >= sizes.filter((size) => size > 0).length ? 1 : 0
  const counts = sizes.map((size, c) => Math.min(size, Math.max(least, Math.floor(wanted[c]))))
  const order = sizes.map((_, c) => c)
  let left = most - counts.reduce((a, b) => a + b, 0)
  for (const c of order.toSorted((a, b) => wanted[b] - counts[b] - (wanted[a] - counts[a]) || a - b)) {
    if (left <= 0) break
    if (counts[c] === sizes[c]) continue
    counts[c]++
    left--
  }
  // classes that were given one for their fraction are paid for by the largest
  for (; left < 0; left++) counts[counts.indexOf(Math.max(...counts))]--
  return counts
}

const shareOf = (size: number, share: number): number => (size === 0 ? 0 : Math.min(size, Math.max(1, Math.round(share * size))))

/** `share` of the rows of every class that has some, at least one, in ascending order; drawn from the key. */
export const shareOfRows = (labels: Int32Array, classes: number, share: number, key: Key): Promise<Int32Array> =>
  rowsByClass(labels, classes, (sizes) => sizes.map((size) => shareOf(size, share)), key)

async function rowsByClass(
  labels: Int32Array,
  classes: number,
  countsOf: (sizes: readonly number[]) => readonly number[],
  key: Key,
): Promise<Int32Array> {
  const turn = new Turn()
  const rows: number[][] = Array.from({ length: classes }, () => [])
  await inPieces(labels.length, turn, (from, to) => {
    for (let row = from; row < to; row++) rows[labels[row]].push(row)
  })
  const counts = countsOf(rows.map((own) => own.length))
  const chosen: number[] = []
  for (const [c, own] of rows.entries()) {
    if (own.length === 0) continue
    const order = await inTurns(permuting(fold(key, 'share', c), 0, purpose.shuffle, own.length), turn)
    for (let i = 0; i < counts[c]; i++) chosen.push(own[order[i]])
  }
  return Int32Array.from(chosen).sort()
}

export async function fitTarget(
  target: TransferTarget,
  image: readonly [number, number, number],
  { trainImages, testImages }: TargetLimits,
  key: Key,
): Promise<FittedTarget> {
  const { name, train, test } = target
  checkTarget(target)
  const gray = train.shape[3] === image[2]
  const limited = (split: Dataset, most: number) => (sizes: readonly number[]) => {
    const counts = apportion(sizes, most)
    if (split === train && counts.filter((count) => count > 0).length < 2) {
      const todo = 'there is nothing to tell apart; take more (trainImages, on the command line --train-images)'
      throw expected('invalid_option', `target '${name}': ${most} training images`, 'images of at least two classes', 'one class', todo)
    }
    return counts
  }
  const fitted = async (
    split: Dataset,
    most: number | undefined,
  ): Promise<{ pixels: Uint8Array; shape: ImageRows['shape']; labels: Int32Array }> => {
    const part =
      most === undefined || most >= split.shape[0]
        ? split
        : split.subset(await rowsByClass(split.labels, split.classes.length, limited(split, most), fold(key, split.split)))
    const pixels = await resizeImages(`target '${name}'`, part.images, part.shape, image)
    return { pixels, shape: [part.shape[0], ...image], labels: part.labels }
  }
  const own = await fitted(train, trainImages)
  // statistics of other channels than the target's are measured on what networks see
  const { mean, std } = gray ? train : await measureStatistics(`target '${name}'`, own.pixels, image[2])
  return {
    ...{ name, classes: train.classes.length, flip: train.flip, sha256: [train.sha256, test.sha256] },
    train: { ...own, mean, std },
    test: { ...(await fitted(test, testImages)), mean, std },
  }
}

/** The given rows. */
export async function takeLabelled(rows: LabelledRows, chosen: Int32Array): Promise<LabelledRows> {
  const pixels = await readPixels({ images: rows.pixels, shape: rows.shape }, chosen)
  return {
    ...rows,
    pixels,
    shape: [chosen.length, rows.shape[1], rows.shape[2], rows.shape[3]],
    labels: chosen.map((row) => rows.labels[row]),
  }
}
