/** @file Moderate coreset (Xia et al., ICLR 2023): samples whose distance to the class mean is nearest to the class's median distance. */
import { expected } from '../errors.js'
import { inPieces, Turn } from '../event-loop.js'
import { checkLabels, rowsByClass } from './labels.js'
import { checkFiniteInTurns, type Score } from './score.js'
import { sortInTurns } from './sort-in-turns.js'

export const moderate: Score = {
  name: 'moderate',
  easy: 'low',
  input: 'features',
  source: 'Xia et al., ICLR 2023: |distance to the class mean - its median in the class|; the low end is the moderate one',
}

/** The mean of the two middle values of an even number, as NumPy has it. */
async function median(values: Float64Array, turn: Turn): Promise<number> {
  const sorted = await sortInTurns(values, turn)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * |score - median of the scores of the class| of every sample, float64 `[samples]`: kept in ascending order these are the moderate
 * coreset of distances (`classPrototypicality`), and of any other score its middle.
 * Throws `invalid_option`, `invalid_data` (another number of labels), `invalid_index` (a label), `not_finite`.
 */
export async function medianDistance(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  { classes }: { readonly classes: number },
): Promise<Float64Array> {
  if (!Array.isArray(scores) && !ArrayBuffer.isView(scores)) throw expected('invalid_option', 'medianDistance', 'a list of scores', scores)
  await checkFiniteInTurns('medianDistance', scores)
  await checkLabels('medianDistance', labels, scores.length, classes)
  const result = new Float64Array(scores.length)
  const turn = new Turn()
  for (const rows of await rowsByClass(labels, classes, turn)) {
    if (rows.length === 0) continue
    await turn.breathe()
    const own = new Float64Array(rows.length)
    await inPieces(rows.length, turn, (from, to) => {
      for (let i = from; i < to; i++) own[i] = scores[rows[i]]
    })
    const middle = await median(own, turn)
    await inPieces(rows.length, turn, (from, to) => {
      for (let i = from; i < to; i++) result[rows[i]] = Math.abs(scores[rows[i]] - middle)
    })
  }
  return result
}
