/** @file real.safetensors of a run directory: the real images that its report shows beside the synthetic ones. */
import { join } from 'node:path'
import { type Dataset, rowsOfWhole } from '../data/dataset.js'
import { exists, maxFileBytes, readWhole } from '../data/file-bytes.js'
import { readPixels } from '../data/pixel-rows.js'
import { expected } from '../errors.js'
import { writeAtomic } from '../files/atomic-file.js'
import { bytesOf } from '../files/pieces.js'
import { decodeSafetensors, encodeSafetensors, type SafeTensor } from '../files/safetensors.js'

export const realFile = 'real.safetensors'

export interface RealImages {
  /** For each synthetic image the row of its nearest real image, in the whole data set, and their root mean square pixel difference in [0, 1]. */
  readonly rows: Int32Array
  readonly distances: Float64Array
  /** Pixels of those images, bytes NHWC, as many as `rows`. */
  readonly nearest: Uint8Array
  /** The first real images of each class, class-major, `perClass` each or fewer; `sampleLabels` says which. */
  readonly samples: Uint8Array
  readonly sampleLabels: Int32Array
  /** Images at the ends of the score that the training images were chosen by; absent where none chose them. */
  readonly kept?: {
    /** Rows of the whole data set, class-major. */
    readonly rows: Int32Array
    readonly labels: Int32Array
    /** 0 at the easy end, 1 at the hard one. */
    readonly ends: Int32Array
    /** Bytes NHWC. */
    readonly images: Uint8Array
  }
}

/** Rows at either end of a score, by class. */
export type ClassEnds = readonly { readonly easiest: readonly number[]; readonly hardest: readonly number[] }[]

/** Cuts the images out of `real`; `ends` are rows of it. */
export async function collectRealImages(
  real: Dataset,
  { rows, distances }: Pick<RealImages, 'rows' | 'distances'>,
  perClass: number,
  ends: ClassEnds = [],
): Promise<RealImages> {
  const chosen = Int32Array.from(real.classes.flatMap((_, c) => [...real.classIndices(c).subarray(0, perClass)]))
  const [nearest, samples] = [await readPixels(real, rows), await readPixels(real, chosen)]
  const images = { nearest, samples, sampleLabels: chosen.map((row) => real.labels[row]) }
  return { rows: rowsOfWhole(real, rows), distances, ...images, ...(await keptOf(real, ends)) }
}

async function keptOf(real: Dataset, ends: ClassEnds): Promise<Pick<RealImages, 'kept'>> {
  const shown = Int32Array.from(ends.flatMap(({ easiest, hardest }) => [...easiest, ...hardest]))
  if (shown.length === 0) return {}
  const marks = ends.flatMap(({ easiest, hardest }) => [...easiest.map(() => 0), ...hardest.map(() => 1)])
  const about = { rows: rowsOfWhole(real, shown), labels: shown.map((row) => real.labels[row]) }
  return { kept: { ...about, ends: Int32Array.from(marks), images: await readPixels(real, shown) } }
}

export async function writeRealImages(dir: string, { rows, distances, nearest, samples, sampleLabels, kept }: RealImages): Promise<void> {
  const tensors = new Map<string, SafeTensor>([
    ['distances', { dtype: 'F64', shape: [distances.length], data: bytesOf(distances) }],
    ['rows', { dtype: 'I32', shape: [rows.length], data: bytesOf(rows) }],
    ['sample_labels', { dtype: 'I32', shape: [sampleLabels.length], data: bytesOf(sampleLabels) }],
    ['nearest', { dtype: 'U8', shape: [nearest.length], data: nearest }],
    ['samples', { dtype: 'U8', shape: [samples.length], data: samples }],
  ])
  if (kept) {
    for (const name of ['rows', 'labels', 'ends'] as const)
      tensors.set(`kept_${name}`, { dtype: 'I32', shape: [kept[name].length], data: bytesOf(kept[name]) })
    tensors.set('kept', { dtype: 'U8', shape: [kept.images.length], data: kept.images })
  }
  await writeAtomic(join(dir, realFile), encodeSafetensors(tensors))
}

/** What the synthetic images of a run are: how many, of how many bytes, of how many classes. */
export interface SetSize {
  readonly images: number
  readonly pixels: number
  readonly classes: number
}

/** Absent when the run has none. Throws `invalid_data` for a damaged file, or one that does not fit the set; `io`. */
export async function readRealImages(dir: string, { images, pixels, classes }: SetSize): Promise<RealImages | undefined> {
  const path = join(dir, realFile)
  if (!(await exists(path))) return undefined
  const { tensors } = decodeSafetensors(path, await readWhole(path, maxFileBytes))
  const take = (name: string, dtype: string, length?: number): ArrayBuffer => {
    const tensor = tensors.get(name)
    if (tensor?.dtype !== dtype || tensor.shape.length !== 1 || (length !== undefined && tensor.shape[0] !== length))
      throw expected('invalid_data', `${path}: tensor '${name}'`, `${dtype} [${length ?? 'n'}]`, `${tensor?.dtype} [${tensor?.shape}]`)
    return tensor.data.slice().buffer as ArrayBuffer
  }
  const labelsIn = (name: string, length?: number): Int32Array => {
    const labels = new Int32Array(take(name, 'I32', length))
    const wrong = labels.findIndex((label) => label < 0 || label >= classes)
    if (wrong >= 0)
      throw expected(
        'invalid_data',
        `${path}: label of ${name === 'sample_labels' ? 'sample' : 'kept image'} ${wrong}`,
        `a class in [0, ${classes})`,
        labels[wrong],
      )
    return labels
  }
  const sampleLabels = labelsIn('sample_labels')
  const keptImages = (): NonNullable<RealImages['kept']> => {
    const rows = new Int32Array(take('kept_rows', 'I32'))
    const ends = new Int32Array(take('kept_ends', 'I32', rows.length))
    const images = new Uint8Array(take('kept', 'U8', rows.length * pixels))
    return { rows, labels: labelsIn('kept_labels', rows.length), ends, images }
  }
  return {
    ...(tensors.has('kept') && { kept: keptImages() }),
    rows: new Int32Array(take('rows', 'I32', images)),
    distances: new Float64Array(take('distances', 'F64', images)),
    nearest: new Uint8Array(take('nearest', 'U8', images * pixels)),
    samples: new Uint8Array(take('samples', 'U8', sampleLabels.length * pixels)),
    sampleLabels,
  }
}
