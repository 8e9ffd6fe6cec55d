/** @file ATOM (2405.01373): DataDAM with channel attention beside the spatial one, class by class, under random networks. */
import { addAll, mul, type Value } from '../../engine/index.js'
import { AludelError } from '../../errors.js'
import { defineMethod, type LossContext, type Preset } from '../method.js'
import { blockNumbers, fraction, notNegative, positive } from '../method-options.js'
import { channelAttention, matchedLayers, spatialAttention } from './attention.js'
import { classMeanDistance, embeddingRows } from './class-means.js'
import { paperLambda } from './datadam.js'

export type AtomOptions = {
  readonly spatialWeight: number
  readonly channelWeight: number
  readonly gamma: number | null
  readonly spatialPower: number
  readonly channelPower: number
  readonly lambda: number
  readonly gain: number
  readonly layers: readonly number[]
}

function preset(doc: string, network: string, spatialWeight: number): Preset<AtomOptions> {
  return {
    doc,
    settings: (context) => ({
      iterations: 8000,
      realBatch: 64,
      imageLr: context.ipc > 50 ? 10 : 1,
      imageMomentum: 0.5,
      init: 'real',
      augment: 'dsa',
      network,
      options: {
        spatialWeight,
        channelWeight: 1,
        gamma: null,
        spatialPower: 4,
        channelPower: 4,
        lambda: paperLambda(context),
        gain: 100,
        layers: [],
      },
    }),
  }
}

export const atom = defineMethod<AtomOptions>({
  name: 'atom',
  doc: 'Attention mixer: spatial and channel attention and mean embeddings under random networks (2405.01373)',
  presets: {
    default: preset("the paper's reading beside DataDAM's table: instance norm, both kinds with weight 1, p = 4", 'convnet', 1),
    'batch-norm': preset("the same under batch norm, which DataDAM's published figures come from", 'convnet-bn', 1),
    'channel-only': preset('channel attention alone, the cheaper variant that the paper studies', 'convnet', 0),
  },
  options: {
    spatialWeight: notNegative('w_s: weight of the spatial terms'),
    channelWeight: notNegative('w_c: weight of the channel terms'),
    gamma: fraction('one number for both weights: w_c = gamma, w_s = 1 - gamma'),
    spatialPower: positive('p_s: exponent of the activations in the spatial maps'),
    channelPower: positive('p_c: exponent of the activations in the channel maps'),
    lambda: notNegative('weight of the embedding term'),
    gain: positive('factor of the whole loss'),
    layers: blockNumbers('blocks whose ReLU maps are matched; default: all but the last'),
  },
  resolve(options, network, given) {
    const { gamma } = options
    if (gamma !== null && (given.has('spatialWeight') || given.has('channelWeight'))) {
      throw new AludelError('invalid_option', 'atom gamma: expected gamma or spatialWeight and channelWeight but received both; drop one')
    }
    const weights = gamma === null ? {} : { spatialWeight: 1 - gamma, channelWeight: gamma }
    const resolved = { ...options, ...weights, layers: matchedLayers(options.layers, network) }
    if (resolved.spatialWeight + resolved.channelWeight + resolved.lambda === 0) {
      throw new AludelError('invalid_option', 'atom: expected a weight above 0 in spatialWeight, channelWeight or lambda but received none')
    }
    return resolved
  },

  // L = gain ( w_s sum_l S_l + w_c sum_l C_l + lambda M ); a term of weight 0 is not computed at all
  loss(context, options) {
    const { spatial, channel, embedding } = atomTerms(context, options)
    const weighted = [
      [options.spatialWeight, () => addAll(spatial())],
      [options.channelWeight, () => addAll(channel())],
      [options.lambda, embedding],
    ] as const
    return mul(addAll(weighted.flatMap(([weight, term]) => (weight === 0 ? [] : [mul(term(), weight)]))), options.gain)
  },
})

/** S_l and C_l per matched layer, and M; each is traced when it is called. */
export function atomTerms(context: LossContext, options: AtomOptions) {
  const { spatialPower, channelPower, layers } = options
  const distance = classMeanDistance(context, { taps: true })
  return {
    // as_l[b, i] = sum_ch |f_l[b, ch, i]|^p_s, unit length per image
    spatial: (): Value[] => layers.map((l) => distance(({ taps }) => spatialAttention(taps[l - 1], spatialPower))),
    // ac_l[b, ch] = sum_i |f_l[b, ch, i]|^p_c, unit length per image
    channel: (): Value[] => layers.map((l) => distance(({ taps }) => channelAttention(taps[l - 1], channelPower))),
    // M = sum_c || mean_b e(real_c) - mean_b e(syn_c) ||^2
    embedding: (): Value => distance(embeddingRows),
  }
}
