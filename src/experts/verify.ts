/** @file Looks at everything in a store: records, sizes, and the hash and numbers of every checkpoint. */
import { AludelError } from '../errors.js'
import { readCheckpointAt } from './checkpoints-file.js'
import { checkpointsPath, readExpertRecord, readRecord } from './record.js'
import { finishedExperts, rangesOf } from './store.js'

export interface VerifiedExpert {
  readonly expert: number
  /** Checkpoints that were read. */
  readonly checkpoints: number
  /** What is wrong, naming file and hash; absent for an expert that is whole. */
  readonly problem?: string
}

/**
 * Reads every finished expert of a store. Damage of an expert is reported, not thrown; throws `not_found`, `invalid_data` for a record of the
 * store itself that is damaged, `io`. `onExpert` hears of each as soon as it was read.
 */
export async function verifyExperts(dir: string, onExpert?: (expert: VerifiedExpert) => void): Promise<VerifiedExpert[]> {
  const { record } = await readRecord(dir)
  const verified: VerifiedExpert[] = []
  for (const expert of await finishedExperts(dir)) {
    let checkpoints = 0
    let problem: string | undefined
    try {
      const own = await readExpertRecord(dir, expert, record)
      const missing = record.kept.filter((epoch) => !own.epochs.includes(epoch))
      if (missing.length > 0) throw new AludelError('invalid_data', `expert ${expert}: epochs ${rangesOf(missing)} are not stored`)
      for (const epoch of own.epochs) {
        await readCheckpointAt(checkpointsPath(dir, expert), { ...own, parameters: record.parameters }, epoch)
        checkpoints++
      }
    } catch (error) {
      if (!(error instanceof AludelError) || error.code === 'io') throw error
      problem = error.message
    }
    verified.push({ expert, checkpoints, ...(problem !== undefined && { problem }) })
    onExpert?.(verified.at(-1) as VerifiedExpert)
  }
  return verified
}
