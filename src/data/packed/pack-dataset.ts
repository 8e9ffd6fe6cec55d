/** @file Packs a data set that is in memory: what does not come as files of images. */
import { writeAtomic } from '../../files/atomic-file.js'
import { piecesOf } from '../../files/pieces.js'
import type { Dataset } from '../dataset.js'
import { knownLabels } from '../labels.js'
import { finishPack } from './finish-pack.js'
import type { PackFilesOptions } from './pack-files.js'
import { type PackRecord, pixelPath } from './pack-record.js'

/** Writes the pixels of `dataset` into `dir` and seals the record. Throws `io`. */
export async function packDataset(
  dir: string,
  dataset: Dataset,
  options: Pick<PackFilesOptions, 'signal' | 'onProgress'> = {},
): Promise<PackRecord> {
  const { name, split, classes, shape, mean, std, flip, images } = dataset
  await writeAtomic(pixelPath(dir, split), piecesOf([images]), images.length)
  const about = { name, split, classes, shape, labels: knownLabels(dataset), mean: [...mean], std: [...std], flip }
  return finishPack(
    dir,
    { ...about, filesSha256: dataset.filesSha256 ?? null, listing: null, unreadable: [...(dataset.unreadable ?? [])], decoding: null },
    options,
  )
}
