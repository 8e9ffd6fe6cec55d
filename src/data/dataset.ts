/** @file A labelled image data set in memory: uint8 NHWC pixels, never normalised here (the step does that on the device). */
import { createHash } from 'node:crypto'
import { expected } from '../errors.js'

export type Split = 'train' | 'test'

export interface DatasetFields {
  /** Name as in `--data`, for example 'cifar10'. */
  readonly name: string
  readonly split: Split
  /** Class names; a label is an index into this list. */
  readonly classes: readonly string[]
  /** Pixels, N*H*W*C bytes in NHWC order. */
  readonly images: Uint8Array
  /** [N, H, W, C] */
  readonly shape: readonly [number, number, number, number]
  /** One class index per image. */
  readonly labels: Int32Array
  /** Mean per channel of pixels scaled to [0, 1]. */
  readonly mean: readonly number[]
  /** Standard deviation per channel of pixels scaled to [0, 1]. */
  readonly std: readonly number[]
  /** Whether a mirrored image keeps its class: false for digits. */
  readonly flip: boolean
}

export interface Dataset extends DatasetFields {
  /** SHA-256 (hex) over shape, labels and pixels: the identity of the content, however it was stored. Computed on first use. */
  readonly sha256: string
  /** A data set of the given rows, in the given order, copied. */
  subset(indices: ArrayLike<number>): Dataset
  /** Row numbers of class `c`, ascending. The array is shared: do not write to it. */
  classIndices(c: number): Int32Array
}

/** Checks the fields against each other and adds the derived members. Throws `invalid_data` naming the field. */
export function createDataset(fields: DatasetFields): Dataset {
  checkFields(fields)
  let sha256: string | undefined
  let byClass: Int32Array[] | undefined
  return Object.freeze({
    ...fields,
    get sha256() {
      sha256 ??= contentHash(fields)
      return sha256
    },
    subset: (indices: ArrayLike<number>) => subsetOf(fields, indices),
    classIndices(c: number) {
      if (!Number.isInteger(c) || c < 0 || c >= fields.classes.length) {
        throw expected('invalid_index', 'classIndices', `a class in [0, ${fields.classes.length})`, c)
      }
      byClass ??= groupByClass(fields.labels, fields.classes.length)
      return byClass[c]
    },
  })
}

function checkFields({ name, classes, images, shape, labels, mean, std }: DatasetFields): void {
  const bad = (what: string, wanted: string, received: unknown) => expected('invalid_data', `data set '${name}': ${what}`, wanted, received)
  if (shape.length !== 4 || shape.some((d) => !Number.isSafeInteger(d) || d < 1)) {
    throw bad('shape', 'four whole numbers >= 1 [N, H, W, C]', JSON.stringify(shape))
  }
  const [n, h, w, c] = shape
  if (classes.length < 1) throw bad('classes', 'at least one class name', 'none')
  if (images.length !== n * h * w * c) throw bad('images', `${n * h * w * c} bytes for [${shape.join(', ')}]`, images.length)
  if (labels.length !== n) throw bad('labels', `${n} labels`, labels.length)
  if (mean.length !== c || !mean.every(Number.isFinite)) throw bad('mean', `${c} finite numbers`, JSON.stringify(mean))
  if (std.length !== c || !std.every((s) => Number.isFinite(s) && s > 0)) throw bad('std', `${c} positive numbers`, JSON.stringify(std))
  const wrong = labels.findIndex((label) => label < 0 || label >= classes.length)
  if (wrong >= 0) throw bad(`label of image ${wrong}`, `a class in [0, ${classes.length})`, labels[wrong])
}

function contentHash({ shape, labels, images }: DatasetFields): string {
  const hash = createHash('sha256').update(JSON.stringify(shape))
  hash.update(new Uint8Array(labels.buffer, labels.byteOffset, labels.byteLength)).update(images)
  return hash.digest('hex')
}

function groupByClass(labels: Int32Array, classes: number): Int32Array[] {
  const counts = new Int32Array(classes)
  for (const label of labels) counts[label]++
  const groups = Array.from(counts, (count) => new Int32Array(count))
  const next = new Int32Array(classes)
  labels.forEach((label, row) => {
    groups[label][next[label]++] = row
  })
  return groups
}

function subsetOf(fields: DatasetFields, indices: ArrayLike<number>): Dataset {
  const [n, h, w, c] = fields.shape
  if (indices.length < 1) throw expected('invalid_option', 'subset', 'at least one index', 'none')
  const bytes = h * w * c
  const images = new Uint8Array(indices.length * bytes)
  const labels = new Int32Array(indices.length)
  for (let i = 0; i < indices.length; i++) {
    const row = indices[i]
    if (!Number.isInteger(row) || row < 0 || row >= n) throw expected('invalid_index', `subset: index ${i}`, `a row in [0, ${n})`, row)
    images.set(fields.images.subarray(row * bytes, (row + 1) * bytes), i * bytes)
    labels[i] = fields.labels[row]
  }
  return createDataset({ ...fields, images, labels, shape: [indices.length, h, w, c] })
}
