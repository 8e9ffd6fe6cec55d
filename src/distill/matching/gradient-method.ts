/** @file What DC and DSA share: presets, options and the matched layers. They differ in augmentation and in what the images start from. */
import { expected } from '../../errors.js'
import { type Network, type ParameterSpec, parameterCount } from '../../nn/module.js'
import { defineGradientMethod, type GradientMethod, type MethodDefaults, type Preset, type PresetContext } from '../method.js'
import { blockNumbers, count, countOrAll, type OptionSpec, oneOf, positive } from '../method-options.js'
import { droppedCount, parseMask } from '../trajectory/mask.js'
import { behindCut, type MatchedTensor } from './depth-cut.js'
import { type GradientMetric, gradientDistance, gradientMetrics, hasRows } from './gradient-distance.js'

export type GradientOptions = {
  readonly outerLoop: number
  readonly innerLoop: number
  readonly networkLr: number
  readonly trainBatch: number | null
  readonly statisticsBatch: number
  readonly metric: GradientMetric
  readonly layers: readonly number[]
  readonly mask: string
}

/** [IPC, outer, inner]; the last row is the authors' advice for large sets. An IPC between two rows takes the one below it. */
const loops = [
  [1, 1, 1],
  [10, 10, 50],
  [20, 20, 25],
  [30, 30, 20],
  [40, 40, 15],
  [50, 50, 10],
  [100, 100, 2],
] as const

export function loopsOf(ipc: number): { readonly outerLoop: number; readonly innerLoop: number } {
  const [, outerLoop, innerLoop] = loops.findLast(([from]) => ipc >= from) ?? loops[0]
  return { outerLoop, innerLoop }
}

const preset = (doc: string, trainBatch: number | null, start: Pick<MethodDefaults, 'init' | 'augment'>): Preset<GradientOptions> => ({
  doc,
  settings: ({ ipc }: PresetContext) => ({
    ...start,
    iterations: 1000,
    realBatch: 256,
    imageLr: 0.1,
    imageMomentum: 0.5,
    network: 'convnet',
    options: { ...loopsOf(ipc), networkLr: 0.01, trainBatch, statisticsBatch: 16, metric: 'layer-cosine', layers: [], mask: 'none' },
  }),
})

/** Layer of every tensor, from 1 up: a convolution or linear weight and the vectors (and maps) that follow it are one layer. */
function numberedTensors(network: Network): readonly { readonly tensor: ParameterSpec; readonly layer: number }[] {
  let layer = 0
  return network.parameters.map((tensor) => {
    if (tensor.layout === 'conv' || tensor.layout === 'linear') layer++
    return { tensor, layer: Math.max(layer, 1) }
  })
}

/** What is matched of the wanted layers: the mask cuts the shallow end off the network's flat order. */
export function matchedTensors({ layers, mask }: Pick<GradientOptions, 'layers' | 'mask'>, network: Network): readonly MatchedTensor[] {
  const wanted = new Set(numberedTensors(network).flatMap(({ tensor, layer }) => (layers.includes(layer) ? [tensor.name] : [])))
  const rule = parseMask(mask)
  const dropped = rule?.kind === 'depth' ? droppedCount(parameterCount(network), rule.share) : 0
  return behindCut(network, dropped).filter(({ name }) => wanted.has(name))
}

const depthMask: OptionSpec<string> = {
  doc: "parameters whose gradients are left out: 'depth:A' is the share A from the shallow end of the flat order",
  wanted: "'none' or 'depth:A' with a share A in [0, 1)",
  parse: (value) => (['none', 'depth'].includes(parseMask(value)?.kind ?? '') ? (value as string) : undefined),
}

/** All layers for an empty list. Throws `invalid_option` for a layer that the network does not have. */
function matchedLayers(layers: readonly number[], network: Network): readonly number[] {
  const known = [...new Set(numberedTensors(network).map(({ layer }) => layer))]
  const missing = layers.find((layer) => !known.includes(layer))
  if (missing !== undefined) throw expected('invalid_option', 'layers', `layer numbers up to ${known.length} of ${network.name}`, missing)
  const matched = layers.length > 0 ? layers : known
  if (matchedTensors({ layers: matched, mask: 'none' }, network).every(({ layout }) => layout === 'vector')) {
    throw expected('invalid_option', 'network', 'one with weights whose gradients can be matched', network.name)
  }
  return matched
}

/** Settles layers; throws `invalid_option` where they and the mask leave nothing that the metric counts. */
function resolveMatched(options: GradientOptions, network: Network): GradientOptions {
  const resolved = { ...options, layers: matchedLayers(options.layers, network) }
  const { metric, layers, mask } = resolved
  if (matchedTensors(resolved, network).some((tensor) => metric !== 'layer-cosine' || hasRows(tensor))) return resolved
  const wanted = `one that leaves ${metric === 'layer-cosine' ? 'weights' : 'parameters'} of layers ${layers.join(', ')}`
  throw expected('invalid_option', 'mask', wanted, mask)
}

export function gradientMethod(
  name: string,
  doc: string,
  start: Pick<MethodDefaults, 'init' | 'augment'>,
): GradientMethod<GradientOptions> {
  return defineGradientMethod<GradientOptions>({
    name,
    doc,
    presets: {
      code: preset('released code: the network trains in shuffled batches of 256 synthetic images', 256, start),
      paper: preset("the paper's algorithm: every training step of the network takes all synthetic images", null, start),
    },
    options: {
      outerLoop: count('matching steps of one iteration, each under the same network'),
      innerLoop: count('epochs that the network trains on the synthetic images after a matching step'),
      networkLr: positive('learning rate of the network'),
      trainBatch: countOrAll('synthetic images of one training step of the network'),
      statisticsBatch: count('real images per class that fix batch-norm statistics before a matching step'),
      metric: oneOf(gradientMetrics, 'D: distance between gradients'),
      layers: blockNumbers('layers whose gradients are matched: a weight and the vectors behind it; default: all', 'layer'),
      mask: depthMask,
    },
    resolve: resolveMatched,
    // D_c, from g = d CE(mean over the class's batch, labels all c) / d theta of either side
    distance: (network, synthetic, real, options) => gradientDistance(options.metric, matchedTensors(options, network), synthetic, real),
    schedule: ({ outerLoop, innerLoop, networkLr, trainBatch, statisticsBatch }) => ({
      outerLoop,
      innerLoop,
      networkLr,
      trainBatch,
      statisticsBatch,
    }),
  })
}
