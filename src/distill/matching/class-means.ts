/** @file Means per class of row features: one segmented sum for all classes, divided by true counts. */
import { div, mul, scatterAdd, type Value } from '../../engine/index.js'
import type { ClassBatch } from '../method.js'

/** features: [N, D] -> [classes, D]. A class without rows gives zeros over a count that the caller keeps >= 1. */
export function classMeans(features: Value, batch: ClassBatch, classes: number): Value {
  const rows = batch.rowWeights ? mul(features, batch.rowWeights) : features
  return div(scatterAdd(rows, batch.classIndex, classes), batch.counts)
}
