/** @file ConvNet, the field's standard: depth x [conv 3x3 -> norm -> activation -> pool 2], then one linear layer (DC, DM, MTT). */
import { expected } from '../../errors.js'
import {
  type Activation,
  activations,
  checkCounts,
  checkNetworkOptions,
  compose,
  convBlock,
  firstPad,
  type Layer,
  type Pooling,
  poolings,
} from '../blocks.js'
import type { MapShape, Network } from '../module.js'
import type { Norm } from '../normalization.js'

export type { Activation, Pooling } from '../blocks.js'
export type { Norm } from '../normalization.js'

export interface ConvNetOptions {
  /** [H, W, C] of one image. */
  readonly input: MapShape
  readonly classes: number
  /** Blocks; default halves the map down to 4: 3 for 28 and 32 pixels, 4 for 64, 5 for 128. */
  readonly depth?: number
  /** Channels of every block, default 128. */
  readonly width?: number
  /** Default 'instance'. 'batch' normalises by the batch in train mode and by running statistics in eval mode; 'group' has 4 groups. */
  readonly norm?: Norm
  /** Default 'relu'; 'leakyrelu' has slope 0.01. */
  readonly activation?: Activation
  /** Default 'avg'. With 'none' every map keeps its size. */
  readonly pooling?: Pooling
}

const known = { input: true, classes: true, depth: true, width: true, norm: true, activation: true, pooling: true } as const

/** Parameters conv0.weight, conv0.bias, norm0.gamma, norm0.beta, conv1.weight, …, fc.weight, fc.bias. @throws AludelError 'invalid_option' */
export function convNet(options: ConvNetOptions): Network {
  checkNetworkOptions('convNet', options, known)
  const { input, classes, width = 128, norm = 'instance', activation = 'relu', pooling = 'avg' } = options
  const depth = options.depth ?? Math.max(1, Math.round(Math.log2(Math.min(input[0], input[1]) / 4)))
  checkCounts('convNet', { depth, width, classes })
  if (!activations.includes(activation))
    throw expected('invalid_option', 'convNet activation', `one of ${activations.join(', ')}`, activation)
  if (!poolings.includes(pooling)) throw expected('invalid_option', 'convNet pooling', `one of ${poolings.join(', ')}`, pooling)
  const layers: Layer[] = []
  for (let block = 0; block < depth; block++) {
    const map = layers.at(-1)?.output ?? input
    const pad = block === 0 ? firstPad(3, input) : 1
    layers.push(convBlock(block, map, { channels: width, kernel: 3, pad, norm, activation, pooling }))
  }
  return compose({ name: `convnet${depth}`, input, classes, layers })
}
