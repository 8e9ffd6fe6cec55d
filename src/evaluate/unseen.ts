/** @file The pool of networks that a set was not distilled under, and the mean over it: the cell that comparisons on ImageNet subsets report. */
import type { EvaluationResult, EvaluationSettings } from '../experiment/types.js'
import { evaluationPools } from '../nn/networks/registry.js'
import { summary } from './summary.js'

/** Name of the pool, and of its result. */
export const unseen = 'unseen'
export const unseenPool: readonly string[] = evaluationPools[unseen]

export const hasUnseen = (networks: EvaluationSettings['networks']): boolean => networks.includes(unseen)

/**
 * The mean over networks of different kinds (`Avg_Cross`) as a result: value i is the mean over repetition i of each, so that spread and
 * interval are those of the mean, not of the kinds.
 */
export function crossAverage(results: readonly EvaluationResult[]): EvaluationResult {
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length
  const [{ values, perClass, inference, training }] = results
  const repetitions = values.map((_, i) => ({
    accuracy: mean(results.map((result) => result.values[i])),
    perClass: perClass.map((first, c) => (first === null ? null : mean(results.map((result) => result.perClass[c] ?? 0)))),
  }))
  return { network: unseen, ...summary(repetitions), ...(inference && { inference }), ...(training && { training }) }
}
