/** @file The last part of packing a split: one pass over its pixels for their hashes, then the sealed record. */
import { beginContentHash } from '../content-hash.js'
import { hashPieces } from './hash-pieces.js'
import type { PackProgress } from './pack-files.js'
import { PackJournal } from './pack-journal.js'
import { bytesOfPack, labelRuns, type PackRecord, packFormat, packVersion, pieceBytes, pixelPath, writePackRecord } from './pack-record.js'

type About = Omit<PackRecord, 'format' | 'version' | 'labels' | 'contentSha256' | 'pieceBytes' | 'pieces'> & { readonly labels: Int32Array }

/** Hashes the pixels that are on the disk and writes the record. */
export async function finishPack(
  dir: string,
  about: About,
  { signal, onProgress }: { readonly signal?: AbortSignal; readonly onProgress?: (progress: PackProgress) => void },
): Promise<PackRecord> {
  const { split, shape, labels } = about
  const bytes = bytesOfPack({ shape })
  const whole = beginContentHash({ shape, labels })
  const pieces = await hashPieces(
    pixelPath(dir, split),
    { bytes, pieceBytes, whole },
    { ...(signal && { signal }), onProgress: (done) => onProgress?.({ what: 'hash', done, total: bytes, from: 0 }) },
  )
  const record: PackRecord = {
    format: packFormat,
    version: packVersion,
    ...about,
    labels: labelRuns(labels),
    contentSha256: whole.digest('hex'),
    pieceBytes,
    pieces,
  }
  await writePackRecord(dir, record)
  await PackJournal.remove(dir, split)
  return record
}
