/** @file `packed:DIR` as a data set: in memory when it is small or asked for, else read from its file row by row. */
import { stat } from 'node:fs/promises'
import { checkPath } from '../../arguments.js'
import { AludelError, onFile } from '../../errors.js'
import { adoptDataset, checkSplit, type Dataset, type Split, streamedDataset } from '../dataset.js'
import { allocate, invalidFile, openForReading } from '../file-bytes.js'
import { fileRows } from '../pixel-rows.js'
import { hashPieces, type PassOptions } from './hash-pieces.js'
import { bytesOfPack, labelsOf, type PackRecord, pixelPath, readPackRecord } from './pack-record.js'

/** A pack of at most so many bytes of pixels is read into memory unless told otherwise. */
export const residentBytes = 2 ** 30

export interface PackedOptions {
  /** Whether all pixels are read into memory at once; default: up to `residentBytes`. */
  readonly resident?: boolean
  readonly signal?: AbortSignal
}

/**
 * Opens a split of what `aludel pack` wrote. Its content, order and identity are those of the data set that was packed.
 * @throws AludelError `not_found` without that split, `invalid_data` naming the file that is damaged or another, `out_of_memory`, `io`.
 */
export async function openPacked(dir: string, split: Split = 'train', options: PackedOptions = {}): Promise<Dataset> {
  checkPath('packed: directory', dir)
  checkSplit('packed', split)
  const record = await readPackRecord(dir, split)
  const path = pixelPath(dir, split)
  const bytes = bytesOfPack(record)
  await checkSize(path, bytes)
  const { name, classes, shape, mean, std, flip, contentSha256, filesSha256, unreadable } = record
  const about = { name, split, classes, shape, labels: labelsOf(record), mean, std, flip }
  const origin = { ...(filesSha256 !== null && { filesSha256 }), ...(unreadable.length > 0 && { unreadable }) }
  if (options.resident ?? bytes <= residentBytes) {
    await checkPieces(dir, record, options)
    return adoptDataset({ ...about, images: await readAll(path, bytes) }, origin)
  }
  const [rows, h, w, c] = shape
  return streamedDataset(about, { ...origin, sha256: contentSha256, pixels: fileRows(path, h * w * c, rows) })
}

async function checkSize(path: string, bytes: number): Promise<void> {
  const { size } = await onFile(path, () => stat(path))
  if (size !== bytes) throw invalidFile(path, `expected ${bytes} bytes, as its record says, but it has ${size}; pack the data again`)
}

/** Reads every byte of a split's pixels and compares it with its record. Throws `invalid_data` naming the first piece that is damaged. */
export async function checkPieces(dir: string, record: PackRecord, options: PassOptions = {}): Promise<void> {
  const path = pixelPath(dir, record.split)
  const bytes = bytesOfPack(record)
  const { pieceBytes, pieces } = record
  await checkSize(path, bytes)
  const found = await hashPieces(path, { bytes, pieceBytes }, options)
  const damaged = found.findIndex((sha256, i) => sha256 !== pieces[i])
  if (damaged >= 0) {
    const where = `bytes ${damaged * pieceBytes} to ${Math.min(bytes, (damaged + 1) * pieceBytes)}`
    throw invalidFile(path, `${where}: expected sha256 ${pieces[damaged]} but received '${found[damaged]}'; pack the data again`)
  }
}

/** More than one read of Node takes at once may be asked for. */
const readBytes = 1 << 26

const readAll = (path: string, bytes: number): Promise<Uint8Array> =>
  onFile(path, async () => {
    const images = allocate(path, bytes)
    const handle = await openForReading(path)
    try {
      for (let at = 0; at < bytes; ) {
        const { bytesRead } = await handle.read(images, at, Math.min(readBytes, bytes - at), at)
        if (bytesRead === 0) throw new AludelError('invalid_data', `${path}: expected ${bytes} bytes but the file ends after ${at}`)
        at += bytesRead
      }
      return images
    } finally {
      await handle.close()
    }
  })
