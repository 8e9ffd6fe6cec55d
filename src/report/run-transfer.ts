/** @file What was measured by transfer in a run directory, of the set that the run has now. */
import type { RepresentationSet } from '../experiment/representation-set.js'
import { readCells, setHash, type TransferCell } from '../transfer/cells.js'
import { cellsByRow } from '../transfer/summary.js'

export interface RunTransfer {
  /** Cells of one row are repetitions of one setup: those that were measured last. */
  readonly cells: readonly TransferCell[]
  /** Left out: cells of an earlier set, and of other settings. */
  readonly others: { readonly sets: number; readonly setups: number }
}

/** Undefined where nothing was measured. Throws `invalid_data` for a file that is none of transfer's. */
export async function readRunTransfer(dir: string, set: RepresentationSet): Promise<RunTransfer | undefined> {
  const all = await readCells(dir)
  if (all.length === 0) return undefined
  const own = await setHash(set)
  const ofSet = all.filter((cell) => cell.set === undefined || cell.set === own)
  const cells = cellsByRow(ofSet).flatMap((row) => {
    const last = row[row.length - 1]
    const pretrained = row.findLast(({ setup, pretraining }) => setup === last.setup && pretraining !== undefined)
    // a network that was not pretrained stands beside any pretraining
    return row.filter(
      ({ setup, pretraining }) => setup === last.setup && (pretraining === undefined || pretraining === pretrained?.pretraining),
    )
  })
  return { cells, others: { sets: all.length - ofSet.length, setups: ofSet.length - cells.length } }
}
