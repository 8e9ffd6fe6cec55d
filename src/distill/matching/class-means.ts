/** @file Means per class of row features, and how far the two sides of a step are apart in them. */
import { div, mul, reshape, scatterAdd, squaredNorm, sub, type Value } from '../../engine/index.js'
import { type Applied, initialize } from '../../nn/module.js'
import type { ClassBatch, ClassMeanPairs, LossContext } from '../method.js'

/** features: [N, D] -> [classes, D] by one segmented sum. A class without rows gives zeros over a count that the caller keeps >= 1. */
export function classMeans(features: Value, batch: ClassBatch, classes: number): Value {
  const rows = batch.rowWeights ? mul(features, batch.rowWeights) : features
  return div(scatterAdd(rows, batch.classIndex, classes), batch.counts)
}

/** Embeddings as rows [N, D] of the only network. */
export const embeddingRows = ({ embedding }: Applied): Value => reshape(embedding, embedding.shape.slice(1))

/** One pass through the step's fresh random network. */
export function applyTo({ network, key, step }: LossContext, { taps }: { readonly taps: boolean }): (batch: ClassBatch) => Applied {
  const parameters = initialize(network, { key, counter: step })
  return (batch) => {
    const weights = batch.rowWeights && reshape(batch.rowWeights, [1, batch.rowWeights.shape[0]])
    return network.apply(parameters, batch.images, { taps, ...(weights ? { rowWeights: weights } : {}) })
  }
}

/** Real and synthetic images pass separately: with batch norm each side has its own statistics, over its true rows. */
const passBothSides: ClassMeanPairs = (context, options) => {
  const { real, synthetic, classes } = context
  const sides = [real, synthetic].map((batch) => ({ batch, applied: applyTo(context, options)(batch) }))
  return (rows) => {
    const [ofReal, ofSynthetic] = sides.map(({ batch, applied }) => classMeans(rows(applied), batch, classes))
    return [ofReal, ofSynthetic]
  }
}

/**
 * Sends both sides through one fresh random network and returns the distance of their class means in any row features of it:
 * sum over classes of || mean_b rows(real_c) - mean_b rows(syn_c) ||^2, nothing divided by classes or dimensions.
 */
export function classMeanDistance(context: LossContext, { taps = false } = {}): (rows: (applied: Applied) => Value) => Value {
  const pairs = (context.means ?? passBothSides)(context, { taps })
  return (rows) => squaredNorm(sub(...pairs(rows)))
}
