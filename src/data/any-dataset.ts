/** @file What may be given in place of a data set: its fields, or images one by one from an iterator of the caller's. */
import { isRecord } from '../arguments.js'
import { AludelError, expected } from '../errors.js'
import { Turn } from '../event-loop.js'
import { measureStatistics } from './channel-statistics.js'
import { adoptDataset, asDataset, type Dataset, type DatasetInput, createDataset as fromFields, type Split } from './dataset.js'

/** One image, with a label or without. */
export interface Sample {
  /** H*W*C bytes, channels last. Copied before the next one is asked for. */
  readonly pixels: Uint8Array
  /** Class index; absent where the source has no classes. */
  readonly label?: number
}

/** A data set that is read image by image: a stream, a database, a decoder of one's own. */
export interface SampleSource {
  readonly name: string
  /** Default 'train'. */
  readonly split?: Split
  /** Class names; absent where images have no labels. */
  readonly classes?: readonly string[]
  /** [H, W, C] of every image. */
  readonly image: readonly [number, number, number]
  /** Per channel, of pixels in [0, 1]; default: measured on the images. */
  readonly mean?: readonly number[]
  readonly std?: readonly number[]
  /** Whether a mirrored image keeps its class; default false. */
  readonly flip?: boolean
  /** Iterated once, to its end. */
  readonly samples: Iterable<Sample> | AsyncIterable<Sample>
}

/** Everything that `distill`, `evaluate` and `createDataset` take as a data set. */
export type AnyDataset = Dataset | DatasetInput | SampleSource

export const isSampleSource = (data: unknown): data is SampleSource => isRecord(data) && 'samples' in data

/**
 * A data set of fields, checked and copied at once, or of the images of an iterator, which is awaited.
 * Throws, or rejects with, `invalid_data` naming the field or image, `invalid_option` for an unknown field, `detached`.
 */
export function createDataset(source: SampleSource): Promise<Dataset>
export function createDataset(fields: DatasetInput): Dataset
export function createDataset(data: DatasetInput | SampleSource): Dataset | Promise<Dataset>
export function createDataset(data: DatasetInput | SampleSource): Dataset | Promise<Dataset> {
  return isSampleSource(data) ? collectSamples(data) : fromFields(data)
}

/** The data set that was given, or one made of what was given. */
export const resolveDataset = (data: AnyDataset): Dataset | Promise<Dataset> =>
  isSampleSource(data) ? collectSamples(data) : asDataset(data)

const known = ['name', 'split', 'classes', 'image', 'mean', 'std', 'flip', 'samples']

async function collectSamples(source: SampleSource): Promise<Dataset> {
  const unknown = Object.keys(source).find((name) => !known.includes(name))
  if (unknown !== undefined) throw expected('invalid_option', 'data set', `names among ${known.join(', ')}`, unknown)
  const { name, split = 'train', classes = [], image, flip = false, samples, ...statistics } = source
  const what = `data set '${name}'`
  const whole = (d: unknown) => Number.isSafeInteger(d) && (d as number) >= 1
  if (!Array.isArray(image) || image.length !== 3 || !image.every(whole)) {
    throw expected('invalid_data', `${what}: image`, 'three whole numbers >= 1 [H, W, C]', image)
  }
  const [h, w, c] = image as [number, number, number]
  const { images, labels, count } = await gatherSamples(what, samples, h * w * c, !Array.isArray(classes) || classes.length > 0)
  const measured = statistics.mean && statistics.std ? undefined : await measureStatistics(what, images, c)
  const { mean = measured?.mean ?? [], std = measured?.std ?? [] } = statistics
  return adoptDataset({ name, split, classes, images, shape: [count, h, w, c], labels, mean, std, flip })
}

async function gatherSamples(
  what: string,
  samples: Iterable<Sample> | AsyncIterable<Sample>,
  bytes: number,
  labelled: boolean,
): Promise<{ images: Uint8Array; labels: Int32Array; count: number }> {
  const iterable = samples as Partial<AsyncIterable<Sample> & Iterable<Sample>> | null | undefined
  if (typeof iterable?.[Symbol.asyncIterator] !== 'function' && typeof iterable?.[Symbol.iterator] !== 'function') {
    throw expected('invalid_data', `${what}: samples`, 'an iterable of { pixels, label }', samples)
  }
  const labels: number[] = []
  let i = 0
  let images = new Uint8Array(64 * bytes)
  const turn = new Turn()
  for await (const sample of samples) {
    const { pixels, label } = (isRecord(sample) ? sample : {}) as Partial<Sample>
    if (!(pixels instanceof Uint8Array) || pixels.length !== bytes) {
      throw expected('invalid_data', `${what}: pixels of image ${i}`, `a Uint8Array of ${bytes} bytes`, pixels)
    }
    if (labelled && typeof label !== 'number') throw expected('invalid_data', `${what}: label of image ${i}`, 'a class index', label)
    if (!labelled && label !== undefined)
      throw expected(
        'invalid_data',
        `${what}: label of image ${i}`,
        'none, as there are no classes',
        label,
        'give classes beside the labels',
      )
    if ((i + 1) * bytes > images.length) images = grown(what, images)
    images.set(pixels, i * bytes)
    if (label !== undefined) labels.push(label)
    i++
    await turn.breathe()
  }
  if (i === 0) throw new AludelError('invalid_data', `${what}: the iterator of samples gave no image`)
  const fractional = labels.findIndex((label) => !Number.isInteger(label))
  if (fractional >= 0) throw expected('invalid_data', `${what}: label of image ${fractional}`, 'a whole number', labels[fractional])
  return { images: images.slice(0, i * bytes), labels: Int32Array.from(labels), count: i }
}

function grown(what: string, images: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  try {
    const larger = new Uint8Array(images.length * 2)
    larger.set(images)
    return larger
  } catch (cause) {
    throw new AludelError('out_of_memory', `${what}: its images do not fit into memory, ${images.length * 2} bytes were asked for`, {
      cause,
    })
  }
}
