/** @file ConvNet, the field's standard: depth x [conv 3x3 -> norm -> ReLU -> average pool 2], then one linear layer (DC, DM, MTT). */

import { add, avgPool2d, conv2d, matmul, normActPool, relu, reshape, type Value } from '../../engine/index.js'
import { expected } from '../../errors.js'
import type { Applied, ApplyOptions, Network, ParameterSpec, Parameters } from '../module.js'

export type Norm = 'instance' | 'batch' | 'none'

export interface ConvNetOptions {
  /** [H, W, C] of one image. */
  readonly input: readonly [number, number, number]
  readonly classes: number
  /** Blocks; default halves the map down to 4: 3 for 28 and 32 pixels, 4 for 64. */
  readonly depth?: number
  /** Channels of every block, default 128. */
  readonly width?: number
  /** Default 'instance'. 'batch' always normalises by the batch at hand (train mode). */
  readonly norm?: Norm
}

const eps = 1e-5

/** Images of 28 pixels are padded by 3 in the first convolution, so that the map is 32 wide. */
const firstPad = (height: number): number => (height === 28 ? 3 : 1)

export function convNet(options: ConvNetOptions): Network {
  const { input, classes, width = 128, norm = 'instance' } = options
  const [height, breadth, channels] = input
  const pad = firstPad(height)
  const mapSizes = (size: number, blocks: number) => (size + 2 * pad - 2) >> blocks
  const depth = options.depth ?? Math.max(1, Math.round(Math.log2(Math.min(height, breadth) / 4)))
  for (const [name, value] of Object.entries({ depth, width, classes })) {
    if (!Number.isInteger(value) || value < 1) throw expected('invalid_option', `convNet ${name}`, 'a whole number >= 1', value)
  }
  const [finalHeight, finalWidth] = [mapSizes(height, depth), mapSizes(breadth, depth)]
  if (finalHeight < 1 || finalWidth < 1) {
    throw expected('invalid_option', 'convNet depth', `few enough blocks for ${height}x${breadth} images`, depth)
  }
  const features = finalHeight * finalWidth * width
  const parameters: ParameterSpec[] = []
  for (let block = 0; block < depth; block++) {
    const fanIn = 9 * (block === 0 ? channels : width)
    const bound = 1 / Math.sqrt(fanIn)
    parameters.push(
      { name: `conv${block}.weight`, shape: [3, 3, fanIn / 9, width], layout: 'conv', init: { kind: 'uniform', bound } },
      { name: `conv${block}.bias`, shape: [width], layout: 'vector', init: { kind: 'uniform', bound } },
    )
    if (norm === 'none') continue
    parameters.push(
      { name: `norm${block}.gamma`, shape: [width], layout: 'vector', init: { kind: 'constant', value: 1 } },
      { name: `norm${block}.beta`, shape: [width], layout: 'vector', init: { kind: 'constant', value: 0 } },
    )
  }
  const bound = 1 / Math.sqrt(features)
  parameters.push(
    { name: 'fc.weight', shape: [features, classes], layout: 'linear', init: { kind: 'uniform', bound } },
    { name: 'fc.bias', shape: [classes], layout: 'vector', init: { kind: 'uniform', bound } },
  )

  function apply(params: Parameters, x: Value, applyOptions: ApplyOptions = {}): Applied {
    const taps: Value[] = []
    let map = x
    for (let block = 0; block < depth; block++) {
      map = conv2d(map, params[`conv${block}.weight`], params[`conv${block}.bias`], { pad: block === 0 ? pad : 1 })
      map = finishBlock(map, params, block, norm, applyOptions, taps)
    }
    const [groups, rows] = map.shape
    const embedding = reshape(map, [groups, rows, features])
    const bias = reshape(params['fc.bias'], [groups, 1, classes])
    return { logits: add(matmul(embedding, params['fc.weight']), bias), embedding, taps }
  }

  return { name: `convnet${depth}`, input, classes, parameters, apply }
}

/** norm -> ReLU -> average pool: one fused op, unless the ReLU map itself is asked for. */
function finishBlock(x: Value, params: Parameters, block: number, norm: Norm, options: ApplyOptions, taps: Value[]): Value {
  const pool = { window: 2, stride: 2 }
  if (norm === 'none') {
    const active = relu(x)
    if (options.taps) taps.push(active)
    return avgPool2d(active, pool)
  }
  const [gamma, beta] = [params[`norm${block}.gamma`], params[`norm${block}.beta`]]
  const rowWeights = norm === 'batch' ? options.rowWeights : undefined
  const settings = { kind: norm, eps, relu: true, ...(rowWeights ? { rowWeights } : {}) }
  if (!options.taps) return normActPool(x, gamma, beta, { ...settings, pool: 2 }).y
  const active = normActPool(x, gamma, beta, { ...settings, pool: 0 }).y
  taps.push(active)
  return avgPool2d(active, pool)
}
