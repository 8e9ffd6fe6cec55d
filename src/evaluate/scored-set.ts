/** @file A coreset baseline: the real images with the smallest (or largest) scores of each class. */
import { checkOptions } from '../arguments.js'
import { asDataset, type Dataset, type DatasetInput } from '../data/dataset.js'
import { expected } from '../errors.js'
import type { SyntheticSet } from '../experiment/types.js'
import { checkClassSizes, realSet } from './real-set.js'

export interface ScoredSetOptions {
  /** Name of the score, for the record of the set. */
  readonly score: string
  /** 'asc' (default) takes the smallest scores, of losses the easiest images; 'desc' the largest. */
  readonly order?: 'asc' | 'desc'
}

/**
 * `ipc` real images of each class, those with the smallest scores (one value per row of `data`); equal scores keep the order of the data.
 * Throws `invalid_option` when a class has fewer images or the scores are as many as other data has, `not_finite` for a score that is none.
 */
export function scoredSet(data: Dataset | DatasetInput, ipc: number, scores: Float64Array, options: ScoredSetOptions): SyntheticSet {
  checkOptions('scoredSet', options, { score: true, order: true })
  const { score, order = 'asc' } = options
  if (order !== 'asc' && order !== 'desc') throw expected('invalid_option', 'scoredSet: order', "'asc' or 'desc'", order)
  const train = asDataset(data)
  checkClassSizes(train, ipc)
  const rows = train.labels.length
  if (!(scores instanceof Float64Array) || scores.length !== rows)
    throw expected('invalid_option', 'scoredSet: scores', `a Float64Array of ${rows} values, one per image`, scores?.length)
  const bad = scores.findIndex((value) => !Number.isFinite(value))
  if (bad >= 0) throw expected('not_finite', `scoredSet: score of row ${bad}`, 'a finite number', scores[bad])
  const sign = order === 'asc' ? 1 : -1
  const chosen = train.classes.flatMap((_, c) =>
    [...train.classIndices(c)].sort((a, b) => sign * (scores[a] - scores[b]) || a - b).slice(0, ipc),
  )
  return realSet(train, Int32Array.from(chosen), { method: 'scored', score, order, ipc })
}
