/** @file Packs one split of any data set into a directory: files of images are streamed, everything else comes from memory. */
import { checkPath } from '../../arguments.js'
import { AludelError } from '../../errors.js'
import { chooseStatistics } from '../channel-statistics.js'
import { checkSplit, type Split } from '../dataset.js'
import { exists } from '../file-bytes.js'
import type { ChannelStatistics } from '../normalize.js'
import { listFiles, openDataset } from '../open.js'
import { parseSpecification, type ReaderOptions } from '../specification.js'
import { checkPieces } from './open-packed.js'
import { packDataset } from './pack-dataset.js'
import { listingHash, type PackProgress, packFiles } from './pack-files.js'
import { type PackRecord, readPackRecord, recordPath } from './pack-record.js'

export interface PackOptions {
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: PackProgress) => void
}

/**
 * Writes the pixels of one split of the data set `specification` into `dir`, which exists: `openDataset('packed:DIR')` then gives the same
 * data set without decoding it. Files of images are decoded in constant memory, and a call that was cut short by anything goes on where it
 * was; other data sets are read into memory first. A split that is packed already is left as it is.
 * @throws AludelError what the reader throws, `incompatible` when `dir` holds something else of that name, `io`. Rejects with AbortError.
 */
export async function packSplit(specification: string, split: Split, dir: string, options: PackOptions = {}): Promise<PackRecord> {
  checkPath('pack: directory', dir)
  checkSplit('pack', split)
  const { name: kind } = parseSpecification(specification)
  if (kind === 'packed') throw new AludelError('invalid_option', `data set '${specification}': is a pack already`)
  const there = (await exists(recordPath(dir, split))) ? await readPackRecord(dir, split) : undefined
  const files = await listFiles(specification, split)
  if (files === undefined) {
    const { signal } = options
    const dataset = await openDataset(specification, split, { ...(signal && { signal }) })
    return there ? same(there, there.contentSha256 === dataset.sha256, dir) : packDataset(dir, dataset, options)
  }
  const { folder, options: given } = files
  const { size = null, fit = 'squash', onUnreadable } = given
  if (there) {
    const { decoding } = there
    const alike = decoding !== null && decoding.size === size && decoding.fit === (size === null ? null : fit)
    return same(there, alike && there.listing === listingHash(folder), dir)
  }
  const decode = { ...(size !== null && { size, fit }), ...(onUnreadable && { onUnreadable }) }
  return packFiles(dir, folder, { ...decode, ...options, flip: given.flip ?? true, statistics: await statisticsOf(kind, given) })
}

function same(record: PackRecord, alike: boolean, dir: string): PackRecord {
  if (alike) return record
  const todo = 'remove it, or give another --out'
  throw new AludelError('incompatible', `${recordPath(dir, record.split)}: other images, or others in size, are packed there; ${todo}`)
}

const statisticsOf = (kind: string, { normalize = 'auto' }: ReaderOptions): Promise<ChannelStatistics> =>
  chooseStatistics({
    choice: normalize,
    kind,
    channels: 3,
    measure: async () => {
      const todo = 'give it when the pack is opened, with resident=yes'
      throw new AludelError('invalid_option', `normalize: measured needs all images in memory, and packing reads them one by one; ${todo}`)
    },
  })

/** Reads every byte of a packed split and compares it with its record. Throws `invalid_data` naming the file and the piece. */
export async function verifyPack(dir: string, split: Split, options: PackOptions = {}): Promise<PackRecord> {
  const record = await readPackRecord(dir, split)
  const { signal, onProgress } = options
  const total = record.shape.reduce((product, d) => product * d, 1)
  await checkPieces(dir, record, {
    ...(signal && { signal }),
    onProgress: (done) => onProgress?.({ what: 'hash', done, total, from: 0 }),
  })
  return record
}
