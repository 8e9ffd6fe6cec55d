/** @file real.safetensors of a run directory: the real images that its report shows beside the synthetic ones. */
import { join } from 'node:path'
import { type Dataset, rowsOfWhole } from '../data/dataset.js'
import { exists, maxFileBytes, readWhole } from '../data/file-bytes.js'
import { expected } from '../errors.js'
import { writeAtomic } from '../files/atomic-file.js'
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
}

/** Cuts the images out of `real`. */
export function collectRealImages(
  real: Dataset,
  { rows, distances }: Pick<RealImages, 'rows' | 'distances'>,
  perClass: number,
): RealImages {
  const chosen = real.classes.flatMap((_, c) => [...real.classIndices(c).subarray(0, perClass)])
  const [nearest, samples] = [real.subset(rows), real.subset(chosen)]
  return { rows: rowsOfWhole(real, rows), distances, nearest: nearest.images, samples: samples.images, sampleLabels: samples.labels }
}

const bytesOf = (array: ArrayBufferView): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength)

export async function writeRealImages(dir: string, { rows, distances, nearest, samples, sampleLabels }: RealImages): Promise<void> {
  const tensors = new Map<string, SafeTensor>([
    ['distances', { dtype: 'F64', shape: [distances.length], data: bytesOf(distances) }],
    ['rows', { dtype: 'I32', shape: [rows.length], data: bytesOf(rows) }],
    ['sample_labels', { dtype: 'I32', shape: [sampleLabels.length], data: bytesOf(sampleLabels) }],
    ['nearest', { dtype: 'U8', shape: [nearest.length], data: nearest }],
    ['samples', { dtype: 'U8', shape: [samples.length], data: samples }],
  ])
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
  const sampleLabels = new Int32Array(take('sample_labels', 'I32'))
  const wrong = sampleLabels.findIndex((label) => label < 0 || label >= classes)
  if (wrong >= 0) throw expected('invalid_data', `${path}: label of sample ${wrong}`, `a class in [0, ${classes})`, sampleLabels[wrong])
  return {
    rows: new Int32Array(take('rows', 'I32', images)),
    distances: new Float64Array(take('distances', 'F64', images)),
    nearest: new Uint8Array(take('nearest', 'U8', images * pixels)),
    samples: new Uint8Array(take('samples', 'U8', sampleLabels.length * pixels)),
    sampleLabels,
  }
}
