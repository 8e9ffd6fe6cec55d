/** @file What a search of architectures has found on the set that a run has now. */
import { join } from 'node:path'
import { AludelError } from '../errors.js'
import type { SyntheticSet } from '../experiment/types.js'
import { type KeptNasResult, readNasResult } from '../nas/kept-result.js'
import { nasFile } from '../nas/record.js'
import { setHash } from '../nas/set-hash.js'

export interface RunNas {
  readonly result: KeptNasResult
  /** Of an earlier set of this run, or of another one. */
  readonly other: boolean
}

/**
 * Of `given`, or of the run in `dir`; undefined where nothing was asked for and no search has come to its end. Throws `not_found` for a given
 * directory without a result, `invalid_data` for files that are none of a search.
 */
export async function readRunNas(dir: string, set: SyntheticSet, given?: string): Promise<RunNas | undefined> {
  const result = await readNasResult(given ?? dir)
  if (result) return { result, other: result.set !== undefined && result.set !== (await setHash(set)) }
  if (given === undefined) return undefined
  throw new AludelError('not_found', `${join(given, nasFile)}: expected the result of a search; finish it with the same aludel nas`)
}
