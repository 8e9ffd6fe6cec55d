/** @file Packs the image files of a split: decoded once, batch after batch, in constant memory; a process that is killed goes on where it was. */
import { createHash } from 'node:crypto'
import { AbortError, AludelError, expected } from '../../errors.js'
import type { UnreadableFile } from '../dataset.js'
import { checkSameSize, type DecodeOptions, decodeOrSkip, decoderVersion, eachInOrder } from '../decode-images.js'
import { filesHash } from '../files-hash.js'
import { checkClassesLeft, type LabelledFolder } from '../labelled-files.js'
import type { ChannelStatistics } from '../normalize.js'
import { finishPack } from './finish-pack.js'
import { type BatchLine, PackJournal, packedBytes } from './pack-journal.js'
import { bytesOfPack, type PackRecord, packFormat, packVersion } from './pack-record.js'

export interface PackProgress {
  readonly what: 'decode' | 'hash'
  /** Files decoded, or bytes hashed, of how many. */
  readonly done: number
  readonly total: number
  /** What was done before this process. */
  readonly from: number
}

export interface PackFilesOptions extends DecodeOptions {
  readonly statistics: ChannelStatistics
  readonly flip: boolean
  readonly onProgress?: (progress: PackProgress) => void
}

/** Bytes of pixels that are decoded between two lines of the journal. */
const batchBytes = 1 << 22
/** Files of a batch whose images are of a size that nobody knows yet. */
const firstFiles = 16

/**
 * Decodes the files of `folder` into `dir`, which exists and belongs to the caller alone, and seals the record. Pixels, order and identity
 * are those of the same folder read into memory.
 * @throws AludelError what decoding throws, `incompatible` when something else was begun in `dir`, `io`. Rejects with AbortError on
 * `signal`; the same call goes on from there.
 */
export async function packFiles(dir: string, folder: LabelledFolder, options: PackFilesOptions): Promise<PackRecord> {
  const { split, paths, labels, classes, names } = folder
  const { size = null, signal, onProgress, statistics, flip } = options
  const fit = size === null ? null : (options.fit ?? 'squash')
  const decoder = await decoderVersion()
  const listing = listingHash(folder)
  const job = JSON.stringify({
    format: packFormat,
    version: packVersion,
    listing,
    size,
    fit,
    decoder,
    skip: options.onUnreadable === 'skip',
  })
  const journal = await PackJournal.open(dir, split, job)
  try {
    await checkPixels(dir, folder, journal)
    const from = filesOf(journal.lines)
    for (let next = from; next < paths.length; ) {
      if (signal?.aborted) throw new AbortError(signal.reason)
      next = await packBatch(folder, next, journal, options)
      onProgress?.({ what: 'decode', done: next, total: paths.length, from })
    }
    const unreadable = journal.lines.flatMap((line) => line.unreadable)
    checkClassesLeft(folder, unreadable)
    const hashes = journal.lines.flatMap((line) => line.hashes.map((hash) => hash ?? undefined))
    const image = imageOf(journal.lines)
    if (image === undefined) throw noneReadable(folder, unreadable)
    const shape = [journal.rows, image[0], image[1], 3] as const
    await journal.settle(bytesOfPack({ shape }))
    return await finishPack(
      dir,
      {
        ...{ name: folder.name, split, classes, shape, flip, mean: statistics.mean, std: statistics.std },
        labels: labels.filter((_, row) => hashes[row] !== undefined),
        filesSha256: await filesHash({ classes, names, labels }, (row) => hashes[row]),
        listing,
        unreadable,
        decoding: { size, fit, decoder },
      },
      { ...(signal && { signal }), ...(onProgress && { onProgress }) },
    )
  } finally {
    await journal.close()
  }
}

/** Height and width, once a file could be decoded. */
const imageOf = (lines: readonly BatchLine[]): BatchLine['image'] | undefined =>
  lines.find(({ hashes }) => hashes.some((hash) => hash !== null))?.image

const filesOf = (lines: readonly BatchLine[]): number => lines[lines.length - 1]?.files ?? 0

/** What files in which order. */
export function listingHash({ classes, names, labels }: Pick<LabelledFolder, 'classes' | 'names' | 'labels'>): string {
  const hash = createHash('sha256').update(JSON.stringify(classes))
  hash.update(new Uint8Array(labels.buffer, labels.byteOffset, labels.byteLength))
  for (const name of names) hash.update(`${name}\0`)
  return hash.digest('hex')
}

/** Pixels that the journal has lines for must be there. */
async function checkPixels(dir: string, { split }: LabelledFolder, { lines, rows }: PackJournal): Promise<void> {
  const [height, width] = imageOf(lines) ?? [0, 0]
  const wanted = rows * height * width * 3
  const bytes = await packedBytes(dir, split)
  if (bytes >= wanted) return
  throw expected('invalid_data', `${dir}: the ${split} pixels`, `at least ${wanted} bytes`, bytes, 'remove the directory and pack again')
}

const noneReadable = ({ name, split }: LabelledFolder, [first]: readonly UnreadableFile[]): AludelError =>
  new AludelError('invalid_data', `${name}: not one ${split} image could be decoded${first ? `; ${first.reason}` : ''}`)

/** Packs the files from `first` on; returns the first that was not. */
async function packBatch(folder: LabelledFolder, first: number, journal: PackJournal, options: PackFilesOptions): Promise<number> {
  const { paths } = folder
  const known = imageOf(journal.lines)
  const files = known ? Math.max(1, Math.floor(batchBytes / (known[0] * known[1] * 3))) : firstFiles
  const count = Math.min(files, paths.length - first)
  const decoded = new Array<Awaited<ReturnType<typeof decodeOrSkip>>>(count)
  await eachInOrder(count, async (i) => {
    if (options.signal?.aborted) throw new AbortError(options.signal.reason)
    decoded[i] = await decodeOrSkip(paths[first + i], first + i, options)
  })
  const images = decoded.flatMap((one, i) => ('data' in one ? [{ ...one, path: paths[first + i] }] : []))
  const model = known ? { path: paths[0], height: known[0], width: known[1] } : images[0]
  if (model) for (const image of images) checkSameSize(image.path, image, model)
  const bytes = model ? model.height * model.width * 3 : 0
  const pixels = new Uint8Array(images.length * bytes)
  for (const [i, { data }] of images.entries()) pixels.set(data, i * bytes)
  const line: BatchLine = {
    files: first + count,
    image: model ? [model.height, model.width] : [0, 0],
    hashes: decoded.map((one) => ('data' in one ? one.sha256 : null)),
    unreadable: decoded.flatMap((one) => ('data' in one ? [] : [one])),
  }
  await journal.append(line, pixels)
  return first + count
}
