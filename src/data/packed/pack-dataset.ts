/** @file Packs a data set that is in memory: what does not come as files of images. */

import { writeAtomic } from '../../files/atomic-file.js'
import type { Dataset } from '../dataset.js'
import { finishPack } from './finish-pack.js'
import type { PackFilesOptions } from './pack-files.js'
import { type PackRecord, pixelPath } from './pack-record.js'

const writeBytes = 1 << 20

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += writeBytes) yield bytes.subarray(at, at + writeBytes)
}

/** Writes the pixels of `dataset` into `dir` and seals the record. Throws `io`. */
export async function packDataset(
  dir: string,
  dataset: Dataset,
  options: Pick<PackFilesOptions, 'signal' | 'onProgress'> = {},
): Promise<PackRecord> {
  const { name, split, classes, shape, labels, mean, std, flip, images } = dataset
  await writeAtomic(pixelPath(dir, split), pieces(images), images.length)
  const about = { name, split, classes, shape, labels, mean: [...mean], std: [...std], flip }
  return finishPack(
    dir,
    { ...about, filesSha256: dataset.filesSha256 ?? null, listing: null, unreadable: [...(dataset.unreadable ?? [])], decoding: null },
    options,
  )
}
