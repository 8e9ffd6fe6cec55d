/** @file The subset that the training images of a run are, from its own directory or from where its data names it. */
import { parseSpecification } from '../data/specification.js'
import { AludelError } from '../errors.js'
import { type RunRecord, runSpecification, subsetFile } from '../experiment/run-dir.js'
import { readSubset, type Subset, subsetHash } from '../prune/subset.js'

export interface RunSubset {
  readonly file: string
  /** Absent where the file cannot be read any more; `missing` says why. */
  readonly subset?: Subset
  readonly missing?: string
}

/** Undefined for a run on all images. A file that is gone or damaged is told, not thrown: the rest of a report stands without it. */
export async function readRunSubset(dir: string, record: RunRecord): Promise<RunSubset | undefined> {
  const { subset: path } = parseSpecification(runSpecification(dir, record)).options
  if (path === undefined) return undefined
  const recorded = record.prune?.subsetSha256
  const file = recorded ? subsetFile : path
  try {
    const subset = await readSubset(path)
    if (recorded && subsetHash(subset) !== recorded) return { file, missing: 'it is not the one that the run has chosen' }
    return { file, subset }
  } catch (error) {
    if (error instanceof AludelError) return { file, missing: error.message }
    throw error
  }
}
