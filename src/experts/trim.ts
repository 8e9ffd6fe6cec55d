/** @file Leaves some epochs of a store only: what no matching will read is given back to the disk. */

import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { fileSize } from '../data/file-bytes.js'
import { AludelError, expected, onFile } from '../errors.js'
import { locked } from '../experiment/run-lock.js'
import { prepareDirectory, syncDirectory } from '../files/atomic-file.js'
import { checkpointsBytes, readCheckpointAt, sealCheckpoints, writeCheckpointAt } from './checkpoints-file.js'
import {
  checkpointsPath,
  type ExpertRecord,
  type ExpertsRecord,
  readExpertRecord,
  readRecord,
  writeExpertRecord,
  writeRecord,
} from './record.js'
import { finishedExperts, keptEpochs, rangesOf } from './store.js'
import { begunGroups } from './work-directory.js'

export interface TrimmedStore {
  readonly record: ExpertsRecord
  readonly experts: number
  /** Bytes given back. */
  readonly freed: number
}

/**
 * Leaves epochs FROM to TO and the last one. The record is rewritten first and the experts one after the other: after a death in between,
 * the store can be read, and the same call finishes the work. Throws `invalid_option` for epochs that are not stored, `locked` while experts
 * are begun that are not finished, `invalid_data` for damage, `io`.
 */
export async function trimExperts(dir: string, range: { readonly from: number; readonly to: number }): Promise<TrimmedStore> {
  return locked(dir, async () => {
    const { record } = await readRecord(dir)
    await checkQuiet(dir)
    await prepareDirectory(dir)
    const kept = keptEpochs('--trim', record.epochs, range)
    const missing = kept.filter((epoch) => !record.kept.includes(epoch))
    if (missing.length > 0)
      throw expected('invalid_option', `${dir}: trim`, `epochs that are stored: ${rangesOf(record.kept)}`, rangesOf(missing))
    const trimmed: ExpertsRecord = { ...record, kept }
    if (kept.length < record.kept.length) await writeRecord(dir, trimmed)
    let freed = 0
    const experts = await finishedExperts(dir)
    for (const expert of experts) freed += await trimExpert(dir, trimmed, await readExpertRecord(dir, expert, trimmed))
    return { record: trimmed, experts: experts.length, freed }
  })
}

/** Throws `locked` where experts are begun and not finished: what they have stored so far is laid out for the epochs that were to be kept. */
async function checkQuiet(dir: string): Promise<void> {
  const names = await begunGroups(dir)
  if (names.length > 0)
    throw new AludelError(
      'locked',
      `${dir}: experts are begun that are not finished (${names.join(', ')}); finish them with --resume, then trim`,
    )
}

/** The record first: a file may hold more than its record says, never less. */
async function trimExpert(dir: string, { kept, parameters }: ExpertsRecord, own: ExpertRecord): Promise<number> {
  const { expert } = own
  const path = checkpointsPath(dir, expert)
  const layout = { expert, parameters, epochs: kept }
  const freed = (await fileSize(path)) - checkpointsBytes(layout)
  const hashes = kept.map((epoch) => own.hashes[own.epochs.indexOf(epoch)])
  if (own.epochs.length > kept.length) await writeExpertRecord(dir, { ...own, epochs: kept, hashes })
  if (freed === 0) return 0
  const smaller = join(dir, `.expert-${expert}.partial`)
  for (const epoch of kept) await writeCheckpointAt(smaller, layout, epoch, await readCheckpointAt(path, { ...own, parameters }, epoch))
  await sealCheckpoints(smaller, layout, hashes)
  await onFile(path, async () => {
    await rename(smaller, path)
    await syncDirectory(dir)
  })
  return freed
}
