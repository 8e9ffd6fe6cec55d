/** @file An image data set in memory, with labels or without: uint8 NHWC pixels, never normalised here (the step does that on the device). */
import { checkOptions } from '../arguments.js'
import { isDetached } from '../engine/tensor/dtype.js'
import { AludelError, expected } from '../errors.js'
import { Turn } from '../event-loop.js'
import { beginContentHash } from './content-hash.js'
import { FieldCheck, type Unchecked } from './image-fields.js'
import { isLabelled, knownLabels, labelsAt, noLabels } from './labels.js'
import { chosenRows, type PixelRows } from './pixel-rows.js'
import type { Whitening } from './whitening.js'

export type Split = 'train' | 'test'

export interface DatasetFields {
  /** Name as in `--data`, for example 'cifar10'. */
  readonly name: string
  readonly split: Split
  /** Class names; a label is an index into this list. Empty where images have no labels. */
  readonly classes: readonly string[]
  /** Pixels, N*H*W*C bytes in NHWC order. */
  readonly images: Uint8Array
  /** [N, H, W, C] */
  readonly shape: readonly [number, number, number, number]
  /** One class index per image: whole numbers. Of a data set without classes there are none: reading them throws `invalid_data`. */
  readonly labels: Int32Array
  /** Mean per channel of pixels scaled to [0, 1]. */
  readonly mean: readonly number[]
  /** Standard deviation per channel of pixels scaled to [0, 1]. */
  readonly std: readonly number[]
  /** Whether a mirrored image keeps its class: false for digits. */
  readonly flip: boolean
}

/** Pixels after ZCA: what networks see in place of the bytes. */
export interface WhitenedPixels {
  readonly whitening: Whitening
  /** N*H*W*C numbers in NHWC order. */
  readonly pixels: Float32Array
}

/** An image file that could not be decoded and was left out. */
export interface UnreadableFile {
  /** Its place among all files of the split, before any was left out. */
  readonly row: number
  readonly path: string
  readonly reason: string
}

/** What a data set was taken of by the file of a subset. */
export interface DatasetPart {
  /** Content hash of the whole. */
  readonly of: string
  /** `filesSha256` of the whole, where it has one. */
  readonly files?: string
  /** Row of the whole behind each row here. */
  readonly rows: Int32Array
  /** Hash of the subset's record. */
  readonly subset: string
}

/** What is known of rows beside their pixels: by readers of files, and by whoever chose them. */
export interface FileOrigin {
  /** Of a data set that `applySubset` made; absent otherwise. */
  readonly part?: DatasetPart
  /** `filesSha256` of the files in row order: the same for every size and fit that they are read at. */
  readonly filesSha256?: string
  /** Files that were left out; absent when all were read. */
  readonly unreadable?: readonly UnreadableFile[]
}

export interface Dataset extends DatasetFields, FileOrigin {
  /**
   * Where the pixels are read from, row by row, when they are not in memory: `images` then throws `invalid_option` with the bytes that all
   * of them need.
   */
  readonly pixels?: PixelRows
  /** Made by `whiten`; absent otherwise. The bytes, and `sha256` of them, are those before. */
  readonly whitened?: WhitenedPixels
  /** SHA-256 (hex) over shape, labels and pixels: the identity of the content, however it was stored. Computed on first use. */
  readonly sha256: string
  /** A data set of the given rows, in the given order, copied. It has an identity of its own and says nothing of files. */
  subset(indices: ArrayLike<number>): Dataset
  /** Row numbers of class `c`, ascending. The array is shared: do not write to it. Throws as `labels` does where there are none. */
  classIndices(c: number): Int32Array
}

/**
 * What a caller gives: labels may be a plain list, and what is known of a data set that it was made from may come along. Images without labels
 * come without `classes` and `labels`.
 */
export type DatasetInput = Omit<DatasetFields, 'labels' | 'classes'> & {
  readonly classes?: readonly string[]
  readonly labels?: Int32Array | readonly number[]
} & Partial<DerivedMembers>

type DerivedMembers = Pick<Dataset, 'sha256' | 'pixels' | 'subset' | 'classIndices' | 'whitened' | keyof FileOrigin>

/** Throws `invalid_option` for another split than there is. */
export function checkSplit(what: string, split: unknown): void {
  if (split !== 'train' && split !== 'test') throw expected('invalid_option', `${what}: split`, "'train' or 'test'", split)
}

const made = new WeakSet<object>()

/**
 * Checks the fields against each other, copies them and adds the derived members: the caller may overwrite, transfer or share its arrays
 * afterwards. Arrays over shared memory or a resizable buffer are taken as they are during the call.
 * Throws `invalid_data` naming the field, `invalid_option` for an unknown one, `detached` for an array whose buffer was transferred away.
 */
export function createDataset(fields: DatasetInput): Dataset {
  checkFields(fields)
  if (fields.whitened !== undefined) {
    throw new AludelError('invalid_option', `data set '${fields.name}': whitened pixels cannot be given; whiten the data set that is made`)
  }
  // the copy is looked at again: another thread may have written to the original since
  return adoptDataset(ownCopy(fields))
}

/** The data set itself when it was made here, else one made of the fields. Throws what `createDataset` throws. */
export function asDataset(given: DatasetInput): Dataset {
  if (!made.has(given)) return createDataset(given)
  if (!given.pixels) checkAttached(given as Dataset)
  return given as Dataset
}

/** As `createDataset`, for readers: the arrays are theirs to give away and are not copied. */
export const adoptDataset = (fields: DatasetFields, origin: FileOrigin = {}): Dataset => makeDataset(fields, originOf(origin))

/** What is known of pixels that are not in memory. */
export interface StreamedPixels extends FileOrigin {
  readonly pixels: PixelRows
  /** Identity of the content, as of the same images in memory. */
  readonly sha256: string
}

/** A data set whose pixels are read row by row; everything else is in memory. Throws as `createDataset` does. */
export function streamedDataset(about: Omit<DatasetFields, 'images'>, { pixels, sha256, ...origin }: StreamedPixels): Dataset {
  checkAbout(about)
  const { name, classes, labels } = about
  const classIndices = indicesByClass(classes, () => labels)
  return finished({
    ...about,
    ...originOf(origin),
    pixels,
    sha256,
    get images(): Uint8Array {
      throw notInMemory(name, pixels.bytes)
    },
    subset(): Dataset {
      throw notInMemory(name, pixels.bytes)
    },
    classIndices,
  })
}

/** The data set, which is not changed any more. Without labels nothing that needs them can go on by mistake. */
function finished(dataset: Dataset): Dataset {
  if (!isLabelled(dataset)) {
    const refuse = (): never => {
      throw noLabels(dataset.name, 'what was asked for')
    }
    // not enumerable: a copy of the fields has no labels either
    Object.defineProperty(dataset, 'labels', { get: refuse, enumerable: false })
    Object.defineProperty(dataset, 'classIndices', { value: refuse })
  }
  made.add(Object.freeze(dataset))
  return dataset
}

function notInMemory(name: string, bytes: number): AludelError {
  const what = `data set '${name}': its images stay on the disk and are read as they are needed, but this needs all of them in memory`
  return new AludelError('invalid_option', `${what}, ${bytes} bytes; open it with resident=yes (--data packed:DIR,resident=yes)`)
}

/** `dataset` with other statistics or another rule for mirrored images. */
export function restated(dataset: Dataset, given: Pick<Dataset, 'mean' | 'std' | 'flip'>): Dataset {
  const { name, split, classes, shape, pixels, sha256 } = dataset
  const about = { name, split, classes, shape, labels: knownLabels(dataset), ...given }
  return pixels
    ? streamedDataset(about, { ...originOf(dataset), pixels, sha256 })
    : adoptDataset({ ...about, images: dataset.images }, originOf(dataset))
}

/** What is known of the files of `dataset`, to go along with other fields of the same rows. */
export const originOf = ({ filesSha256, unreadable, part }: FileOrigin): FileOrigin => ({
  ...(part && { part }),
  ...(filesSha256 !== undefined && { filesSha256 }),
  ...(unreadable !== undefined && { unreadable }),
})

/** `dataset` with whitened pixels beside its bytes, normalised as before the whitening. */
export const whitenedDataset = (dataset: Dataset, whitening: Whitening, pixels: Float32Array): Dataset =>
  makeDataset({ ...fieldsOf(dataset), ...whitening.channels }, originOf(dataset), { whitening, pixels })

/** The given rows of `dataset`, which remember where they come from: `subset` is the hash of the record that chose them. */
export function datasetPart(dataset: Dataset, rows: ArrayLike<number>, subset: string): Dataset {
  const taken = subsetOf(dataset, dataset.whitened, rows)
  return makeDataset(fieldsOf(taken), { part: partOf(dataset, rows, subset) }, taken.whitened)
}

function partOf({ part, sha256, filesSha256 }: Dataset, rows: ArrayLike<number>, subset: string): DatasetPart {
  const files = part ? part.files : filesSha256
  return {
    of: part?.of ?? sha256,
    ...(files !== undefined && { files }),
    rows: Int32Array.from(rows, (row) => part?.rows[row] ?? row),
    subset,
  }
}

/** As `datasetPart`, for `pixels` of `dataset` that are not in memory: one pass over the rows, for their identity. */
export async function streamedPart(dataset: Dataset, pixels: PixelRows, rows: Int32Array, subset: string): Promise<Dataset> {
  const { name, split, classes, mean, std, flip } = dataset
  const [, h, w, c] = dataset.shape
  const about = {
    name,
    split,
    classes,
    shape: [rows.length, h, w, c] as const,
    labels: labelsAt(knownLabels(dataset), rows),
    mean,
    std,
    flip,
  }
  const hash = beginContentHash(about)
  const turn = new Turn()
  const step = Math.max(1, Math.floor(passBytes / (h * w * c)))
  for (let from = 0; from < rows.length; from += step) {
    hash.update(await pixels.read(rows.subarray(from, from + step)))
    await turn.breathe()
  }
  const part = partOf(dataset, rows, subset)
  return streamedDataset(about, { pixels: chosenRows(pixels, h * w * c, rows), sha256: hash.digest('hex'), part })
}

/** Bytes of one read of a pass over rows. */
const passBytes = 1 << 20

/** Rows of the data set that `dataset` is a part of, or of itself; numbers below 0 mean no row and stay. */
export const rowsOfWhole = ({ part }: Pick<Dataset, 'part'>, rows: Int32Array): Int32Array =>
  part ? rows.map((row) => (row < 0 ? row : part.rows[row])) : rows

function fieldsOf(fields: DatasetFields): DatasetFields {
  const { name, split, classes, images, shape, mean, std, flip } = fields
  return { name, split, classes, images, shape, labels: knownLabels(fields), mean, std, flip }
}

function makeDataset(fields: DatasetFields, origin: FileOrigin, whitened?: WhitenedPixels): Dataset {
  checkFields(fields)
  let sha256: string | undefined
  return finished({
    ...fieldsOf(fields),
    ...origin,
    ...(whitened && { whitened }),
    get sha256() {
      checkAttached(fields)
      sha256 ??= contentHash(fields)
      return sha256
    },
    subset: (indices: ArrayLike<number>) => subsetOf(fields, whitened, indices),
    classIndices: indicesByClass(fields.classes, () => {
      checkAttached(fields)
      return fields.labels
    }),
  })
}

/** `classIndices` of a data set; the rows are sorted by class on first use. */
function indicesByClass(classes: readonly string[], labels: () => Int32Array): (c: number) => Int32Array {
  let byClass: Int32Array[] | undefined
  return (c) => {
    if (!Number.isInteger(c) || c < 0 || c >= classes.length)
      throw expected('invalid_index', 'classIndices', `a class in [0, ${classes.length})`, c)
    const all = labels()
    byClass ??= groupByClass(all, classes.length)
    return byClass[c]
  }
}

const fieldNames: Readonly<Record<keyof DatasetInput, true>> = {
  ...{ name: true, split: true, classes: true, images: true, shape: true, labels: true, mean: true, std: true, flip: true },
  ...{ sha256: true, subset: true, classIndices: true, whitened: true, filesSha256: true, unreadable: true, part: true, pixels: true },
}

const checkFields = (fields: Unchecked<DatasetInput>): void =>
  checkAbout(fields, (check, shape) => {
    const [n, h, w, c] = shape
    check.array('images', ['u8', 'Uint8Array'], fields.images, n * h * w * c, `bytes for [${shape.join(', ')}]`)
  })

/** Checks everything but the images, which `checkImages` looks at once the shape is known. */
function checkAbout(
  fields: Unchecked<Omit<DatasetInput, 'images'>>,
  checkImages?: (check: FieldCheck, shape: DatasetFields['shape']) => void,
): void {
  const todo = 'give what createDataset or a reader such as cifar10 gives, or its fields'
  new FieldCheck('data set', fields, todo).text('name', fields.name)
  const what = `data set '${fields.name}'`
  const check: FieldCheck = new FieldCheck(what, fields)
  checkOptions<Unchecked<DatasetInput>>(what, fields, fieldNames)
  const { split, classes, shape, flip } = fields
  if (split !== 'train' && split !== 'test') throw check.bad('split', "'train' or 'test'", split)
  check.shape(shape)
  checkImages?.(check, shape)
  if (classes === undefined || (Array.isArray(classes) && classes.length === 0)) checkNone(check, fields)
  else {
    const { labels } = fields
    check.classes(classes)
    if (!Array.isArray(labels)) check.array('labels', ['i32', 'Int32Array'], labels, shape[0], 'labels')
    else if (labels.length !== shape[0]) throw check.bad('labels', `${shape[0]} labels`, labels.length)
    check.labels(labels as ArrayLike<unknown>, classes.length)
  }
  check.statistics(fields, shape[3])
  check.flag('flip', flip)
}

/** Labels without the names of their classes say nothing. */
function checkNone(check: FieldCheck, fields: Unchecked<Pick<DatasetInput, 'classes' | 'labels'>>): void {
  // those of a data set without labels throw
  const labels = made.has(fields) ? undefined : fields.labels
  if (labels !== undefined && (labels as Partial<ArrayLike<unknown>> | null)?.length !== 0) check.classes(fields.classes)
}

function ownCopy(fields: DatasetInput): DatasetFields {
  const { name, split, classes = [], images, shape, mean, std, flip } = fields
  try {
    const labels = classes.length === 0 ? [] : (fields.labels ?? [])
    const lists = { classes: [...classes], shape: [...shape] as [number, number, number, number], mean: [...mean], std: [...std] }
    // not slice(): that of a Buffer is a view
    return { name, split, ...lists, images: new Uint8Array(images), labels: Int32Array.from(labels), flip }
  } catch (cause) {
    throw new AludelError('out_of_memory', `data set '${name}': the copy of its images needs ${images.length} bytes`, { cause })
  }
}

/** Whoever transfers the arrays of a data set takes its content away. */
function checkAttached(dataset: DatasetFields & Pick<Dataset, 'whitened'>): void {
  const { name, images, whitened } = dataset
  const labels = knownLabels(dataset)
  if (isDetached(images.buffer) || isDetached(labels.buffer) || (whitened && isDetached(whitened.pixels.buffer))) {
    throw new AludelError('detached', `data set '${name}': the buffer of its images or labels was transferred away; transfer a copy`)
  }
}

const contentHash = (fields: DatasetFields): string => beginContentHash(fields).update(fields.images).digest('hex')

/** The rows of each class, ascending. Labels must be classes. */
export function groupByClass(labels: ArrayLike<number>, classes: number): Int32Array[] {
  const counts = new Int32Array(classes)
  for (let row = 0; row < labels.length; row++) counts[labels[row]]++
  const groups = Array.from(counts, (count) => new Int32Array(count))
  counts.fill(0)
  for (let row = 0; row < labels.length; row++) groups[labels[row]][counts[labels[row]]++] = row
  return groups
}

function subsetOf(fields: DatasetFields, whitened: WhitenedPixels | undefined, indices: ArrayLike<number>): Dataset {
  checkAttached({ ...fields, ...(whitened && { whitened }) })
  const [n, h, w, c] = fields.shape
  if (!Array.isArray(indices) && !ArrayBuffer.isView(indices)) throw expected('invalid_option', 'subset', 'a list of rows', indices)
  if (indices.length < 1) throw expected('invalid_option', 'subset', 'at least one index', 'none')
  const bytes = h * w * c
  const images = new Uint8Array(indices.length * bytes)
  const labels = labelsAt(fields.labels, indices)
  const pixels = whitened && new Float32Array(indices.length * bytes)
  for (let i = 0; i < indices.length; i++) {
    const row = indices[i]
    if (!Number.isInteger(row) || row < 0 || row >= n) throw expected('invalid_index', `subset: index ${i}`, `a row in [0, ${n})`, row)
    images.set(fields.images.subarray(row * bytes, (row + 1) * bytes), i * bytes)
    pixels?.set(whitened?.pixels.subarray(row * bytes, (row + 1) * bytes) ?? [], i * bytes)
  }
  const part = { ...fields, images, labels, shape: [indices.length, h, w, c] as const }
  return makeDataset(part, {}, whitened && pixels && { whitening: whitened.whitening, pixels })
}
