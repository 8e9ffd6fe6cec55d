/** @file A set in the forms that others read: .npz, PNG by class, Hugging Face parquet. */
import { checkOptions, checkPath } from '../arguments.js'
import { expected } from '../errors.js'
import { checkSyntheticSet } from '../experiment/synthetic-set.js'
import type { SyntheticSetFields } from '../experiment/types.js'
import { nhwcToNchw } from '../nn/layout.js'
import { checkChannels, imageFiles, imagePaths, labelsFile } from './image-files.js'
import { doubleArray, encodeNpz, floatArray, floatScalar, longArray, textArray } from './npz.js'
import { encodeParquet } from './parquet.js'
import { type NewFile, writeNewFile, writeNewFolder } from './write-new.js'

export type SetFormat = 'npz' | 'png' | 'parquet'

export const setFormats: readonly SetFormat[] = ['npz', 'png', 'parquet']

export interface ExportSetOptions {
  /**
   * 'npz': `images` float32 [M, C, H, W] as networks see them, `labels` int64, `mean`, `std`, `classes`: everything, exactly.
   * 'png': CLASS/NUMBER.png. 'parquet': columns image and label as Hugging Face `datasets` has them, images as PNG. In both, pixels are
   * rounded and clipped to bytes. Learned labels and rate are `label_logits` float32 [M, classes] and `lr` float32 in 'npz', labels.json
   * beside the folders of 'png', a column `label_logits` and an entry `lr` of the file's metadata in 'parquet'.
   */
  readonly format: SetFormat
  /** The file; for 'png' the folder. */
  readonly out: string
}

export interface ExportedSet {
  readonly path: string
  readonly files: number
  readonly bytes: number
}

/**
 * Writes a set in another form. Files are written whole or not at all; one that exists with the same bytes is kept, and nothing else is
 * ever overwritten. Throws `invalid_option` (also for what stands in the way), `invalid_data` for a set that is none, `io`.
 */
export async function exportSet(set: SyntheticSetFields, options: ExportSetOptions): Promise<ExportedSet> {
  checkSyntheticSet(set)
  checkOptions('exportSet', options, { format: true, out: true })
  const { format, out } = options
  checkPath('exportSet: out', out)
  if (format === 'png') {
    checkChannels(set)
    const labels = labelsFile(set)
    const names = new Set([...imagePaths(set), ...labels.map(({ path }) => path)])
    return { path: out, files: names.size, bytes: await writeNewFolder(out, names, filesOf(imageFiles(set), labels)) }
  }
  if (format !== 'npz' && format !== 'parquet')
    throw expected('invalid_option', 'exportSet: format', `one of ${setFormats.join(', ')}`, format)
  const file = format === 'npz' ? await npzOf(set) : await encodeParquet(imageFiles(set), set)
  await writeNewFile(out, file)
  return { path: out, files: 1, bytes: file.length }
}

async function* filesOf(images: AsyncIterable<NewFile>, labels: readonly NewFile[]): AsyncGenerator<NewFile> {
  yield* images
  yield* labels
}

const npzOf = ({
  images,
  shape,
  labels,
  mean,
  std,
  classes,
  labelLogits,
  targets,
  learningRate,
}: SyntheticSetFields): Promise<Uint8Array> => {
  const [m, h, w, c] = shape
  return encodeNpz({
    images: floatArray(nhwcToNchw(images, [m, h, w, c]), [m, c, h, w]),
    labels: longArray(labels),
    mean: doubleArray(mean),
    std: doubleArray(std),
    classes: textArray(classes),
    ...(labelLogits && { label_logits: floatArray(labelLogits, [m, classes.length]) }),
    ...(targets && { targets: floatArray(targets, [m, classes.length]) }),
    ...(learningRate !== undefined && { lr: floatScalar(learningRate) }),
  })
}
