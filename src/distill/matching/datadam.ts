/** @file DataDAM (2310.00093): spatial attention of the inner blocks and the mean embedding, class by class, under random networks. */
import { add, addAll, mul, type Value } from '../../engine/index.js'
import { defineMethod, type LossContext, type PresetContext } from '../method.js'
import { blockNumbers, notNegative, positive } from '../method-options.js'
import { matchedLayers, spatialAttention } from './attention.js'
import { classMeanDistance, embeddingRows } from './class-means.js'

export type DatadamOptions = {
  readonly power: number
  readonly lambda: number
  readonly gain: number
  readonly layers: readonly number[]
}

/** Weight of the embedding term: 0.02 for high resolution, which the paper does not define; taken as 64 pixels and more. */
export const paperLambda = ({ image }: PresetContext): number => (Math.min(image[0], image[1]) >= 64 ? 0.02 : 0.01)

const shared = { imageMomentum: 0.5, init: 'real', augment: 'dsa' } as const

export const datadam = defineMethod<DatadamOptions>({
  name: 'datadam',
  doc: 'Attention matching: spatial attention maps and mean embeddings under random networks (2310.00093)',
  presets: {
    code: {
      doc: "released code: batch norm, p = 1, 20000 iterations; the authors' advice for stable results",
      settings: ({ ipc }) => ({
        ...shared,
        iterations: 20_000,
        realBatch: 64,
        imageLr: ipc >= 100 ? 10 : 1,
        network: 'convnet-bn',
        options: { power: 1, lambda: 0.01, gain: 100, layers: [] },
      }),
    },
    paper: {
      doc: 'table of the supplement: instance norm, p = 4, 8000 iterations; real batch and gain as in the code, the table has none',
      settings: (context) => ({
        ...shared,
        iterations: 8000,
        realBatch: 64,
        imageLr: context.ipc > 50 ? 10 : 1,
        network: 'convnet',
        options: { power: 4, lambda: paperLambda(context), gain: 100, layers: [] },
      }),
    },
  },
  options: {
    power: positive('p: exponent of the activations in the attention maps'),
    lambda: notNegative('weight of the embedding term'),
    gain: positive('factor of the whole loss'),
    layers: blockNumbers('blocks whose ReLU maps are matched; default: all but the last'),
  },
  resolve: (options, network) => ({ ...options, layers: matchedLayers(options.layers, network) }),

  // L = gain ( sum_{l<L} S_l + lambda M )
  loss(context, options) {
    const { spatial, embedding } = datadamTerms(context, options)
    return mul(add(addAll(spatial), mul(embedding, options.lambda)), options.gain)
  },
})

/** S_l per matched layer, and M. */
export function datadamTerms(context: LossContext, options: DatadamOptions): { spatial: readonly Value[]; embedding: Value } {
  const { power, layers } = options
  const distance = classMeanDistance(context, { taps: true })
  return {
    // S_l = sum_c || mean_b z_l(real_c) - mean_b z_l(syn_c) ||^2 of unit attention vectors: normalised before the batch mean
    spatial: layers.map((l) => distance(({ taps }) => spatialAttention(taps[l - 1], power))),
    // M = sum_c || mean_b e(real_c) - mean_b e(syn_c) ||^2
    embedding: distance(embeddingRows),
  }
}
