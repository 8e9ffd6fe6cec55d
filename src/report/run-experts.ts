/** @file What the experts that a run matches say of themselves, where their store can still be read. */
import { AludelError } from '../errors.js'
import type { RunRecord } from '../experiment/run-dir.js'
import { type ExpertsRecord, readRecord } from '../experts/record.js'

export interface RunExperts {
  readonly path: string
  /** How many of them the run matches. */
  readonly count: number
  /** Absent where the store cannot be read any more; `missing` says why. */
  readonly record?: ExpertsRecord
  readonly missing?: string
}

/** Undefined for a run without experts. A store that is gone, damaged or another one by now is told, not thrown. */
export async function readRunExperts({ experts }: RunRecord): Promise<RunExperts | undefined> {
  if (!experts) return undefined
  const { path, sha256, numbers } = experts
  const about = { path, count: numbers.length }
  try {
    const { record, sha256: found } = await readRecord(path)
    return found === sha256 ? { ...about, record } : { ...about, missing: 'its record is not the one that the run began with' }
  } catch (error) {
    if (error instanceof AludelError) return { ...about, missing: error.message }
    throw error
  }
}
