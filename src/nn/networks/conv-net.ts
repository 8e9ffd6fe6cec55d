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
import type { MapShape, Network, ParameterSpec } from '../module.js'
import { flaxTenth, type Norm, normLayer } from '../normalization.js'

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
  /** Channels of each block in place of `depth` and `width`. */
  readonly widths?: readonly number[]
  /** Default 'instance'. 'batch' normalises by the batch in train mode and by running statistics in eval mode; 'group' has 4 groups. */
  readonly norm?: Norm
  /** Default 'relu'; 'leakyrelu' has slope 0.01. */
  readonly activation?: Activation
  /** Default 'avg'. With 'none' every map keeps its size. */
  readonly pooling?: Pooling
}

const known = {
  ...{ input: true, classes: true, depth: true, width: true, widths: true, norm: true, activation: true, pooling: true },
} as const satisfies Readonly<Record<keyof ConvNetOptions, true>>

/** Parameters conv0.weight, conv0.bias, norm0.gamma, norm0.beta, conv1.weight, …, fc.weight, fc.bias. @throws AludelError 'invalid_option' */
export function convNet(options: ConvNetOptions): Network {
  checkNetworkOptions('convNet', options, known)
  const { input, classes, width = 128, norm = 'instance', activation = 'relu', pooling = 'avg' } = options
  const depth = options.depth ?? Math.max(1, Math.round(Math.log2(Math.min(input[0], input[1]) / 4)))
  checkCounts('convNet', { depth, width, classes })
  const widths = options.widths ?? Array<number>(depth).fill(width)
  checkWidths(options)
  if (!activations.includes(activation))
    throw expected('invalid_option', 'convNet activation', `one of ${activations.join(', ')}`, activation)
  if (!poolings.includes(pooling)) throw expected('invalid_option', 'convNet pooling', `one of ${poolings.join(', ')}`, pooling)
  const layers: Layer[] = []
  for (const [block, channels] of widths.entries()) {
    const map = layers.at(-1)?.output ?? input
    const pad = block === 0 ? firstPad(3, input) : 1
    layers.push(convBlock(block, map, { channels, kernel: 3, pad, norm, activation, pooling }))
  }
  return compose({ name: `convnet${widths.length}`, input, classes, layers })
}

function checkWidths({ widths, depth, width }: ConvNetOptions): void {
  if (widths === undefined) return
  if (!Array.isArray(widths) || widths.length === 0)
    throw expected('invalid_option', 'convNet widths', 'the channels of at least one block', widths)
  if (depth !== undefined || width !== undefined)
    throw expected('invalid_option', 'convNet widths', 'no depth or width beside them', { depth, width }, 'leave those out')
  checkCounts('convNet', Object.fromEntries(widths.map((channels, block) => [`width of block ${block}`, channels])))
}

/** Options of `convBn`. */
export interface ConvBnOptions {
  /** [H, W, C] of one image. */
  readonly input: MapShape
  readonly classes: number
  /** Channels of each block; default 128-256-512 for 28 and 32 pixels, 64-128-256-512 for 64, 32-64-128-256-512 from 128 on. */
  readonly widths?: readonly number[]
}

/** Channels of the last block. */
const widest = 512

/**
 * ConvNet with batch norm whose channels double from block to block, as KRR-ST distils under (arXiv 2310.06511): 8192 features at 32 and 64
 * pixels. @throws AludelError 'invalid_option'
 */
export function convBn(options: ConvBnOptions): Network {
  checkNetworkOptions('convBn', options, { input: true, classes: true, widths: true })
  const { input, classes } = options
  const side = Math.min(input[0], input[1]) === 28 ? 32 : Math.min(input[0], input[1])
  const depth = Math.min(5, Math.max(1, Math.floor(Math.log2(side / 4))))
  const widths = options.widths ?? Array.from({ length: depth }, (_, i) => widest >> (depth - 1 - i))
  return { ...convNet({ input, classes, widths, norm: 'batch' }), name: 'conv-bn' }
}

/** Options of `convFrepo`. */
export interface ConvFrepoOptions {
  /** [H, W, C] of one image. */
  readonly input: MapShape
  readonly classes: number
  /** Default 'batch', what FRePo distils under; it measures under 'none'. */
  readonly norm?: 'batch' | 'none'
  /** Channels of each block; default 128, 256, 512, … for as many blocks as halve the map down to 4. */
  readonly widths?: readonly number[]
}

/**
 * FRePo's ConvNet (arXiv 2206.00719): blocks of [batch norm, from the second on -> conv 3x3 -> ReLU -> average pooling], channels doubling,
 * weights lecun-normal and biases 0, running statistics that keep a tenth of what they were. @throws AludelError 'invalid_option'
 */
export function convFrepo(options: ConvFrepoOptions): Network {
  checkNetworkOptions('convFrepo', options, { input: true, classes: true, norm: true, widths: true })
  const { input, classes, norm = 'batch' } = options
  if (norm !== 'batch' && norm !== 'none') throw expected('invalid_option', 'convFrepo norm', "'batch' or 'none'", norm)
  const depth = Math.max(1, Math.round(Math.log2(Math.min(input[0], input[1]) / 4)))
  checkWidths({ input, classes, ...(options.widths && { widths: options.widths }) })
  const widths = options.widths ?? Array.from({ length: depth }, (_, i) => narrowest << i)
  const layers: Layer[] = []
  for (const [block, channels] of widths.entries()) {
    const map = layers.at(-1)?.output ?? input
    if (block > 0 && norm === 'batch') layers.push(normOnly(`norm${block}`, map))
    const pad = block === 0 ? firstPad(3, input) : 1
    layers.push(convBlock(block, map, { channels, kernel: 3, pad, norm: 'none', pooling: 'avg', init: 'lecun-normal' }))
  }
  return compose({ name: norm === 'batch' ? 'conv-frepo' : 'conv-frepo-nn', input, classes, layers, init: 'lecun-normal' })
}

/** Channels of FRePo's first block. */
const narrowest = 128

function normOnly(name: string, map: MapShape): Layer {
  const { parameters, state, apply } = normLayer(name, 'batch', map, 1, flaxTenth)
  return { parameters, state, output: map, apply: (x, pass) => apply(x, pass, { relu: false, pool: 0 }) }
}

/** Options of `convRfad`. */
export interface ConvRfadOptions {
  /** [H, W, C] of one image. */
  readonly input: MapShape
  readonly classes: number
  /** Channels of every block; default 1024, what RFAD's sets are measured with. */
  readonly width?: number
}

/**
 * ConvNet without norm whose weights are normal of variance 2 / fan in and whose biases are of variance 0.01 (RFAD, arXiv 2210.12067).
 * @throws AludelError 'invalid_option'
 */
export function convRfad(options: ConvRfadOptions): Network {
  checkNetworkOptions('convRfad', options, { input: true, classes: true, width: true })
  const { input, classes, width = 1024 } = options
  const network = convNet({ input, classes, width, norm: 'none' })
  const parameters = network.parameters.map((spec) => ({ ...spec, init: { kind: 'normal', std: normalStd(spec) } as const }))
  return { ...network, name: 'conv-rfad', parameters }
}

/** Standard deviation of RFAD's random networks: sqrt(2 / fan in) of weights, 0.1 of biases and of what else is a vector. */
export const normalStd = ({ layout, shape }: ParameterSpec): number =>
  layout === 'conv' || layout === 'linear' ? Math.sqrt(2 / shape.slice(0, -1).reduce((a, b) => a * b, 1)) : 0.1
