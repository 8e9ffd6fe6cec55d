/** @file VGG-11 for small images (DC): eight convolutions 3x3 with norm and ReLU, five max-pools, one linear layer. */
import { checkCounts, checkNetworkOptions, compose, convBlock, firstPad, type Layer } from '../blocks.js'
import type { MapShape, Network } from '../module.js'

export interface Vgg11Options {
  /** [H, W, C] of one image, at least 32 pixels after padding; 28 pixels are padded to 32. */
  readonly input: MapShape
  readonly classes: number
  /** Default 'instance'. */
  readonly norm?: 'instance' | 'batch'
  /** Channels of the first convolution, default 64; the others keep their ratio. */
  readonly width?: number
}

/** Channels over the first's, and whether a max-pool follows. */
const plan = [
  [1, true],
  [2, true],
  [4, false],
  [4, true],
  [8, false],
  [8, true],
  [8, false],
  [8, true],
] as const

/** Blocks conv0 … conv7; the flattened last map is the embedding (512 at 32 pixels). @throws AludelError 'invalid_option' */
export function vgg11(options: Vgg11Options): Network {
  checkNetworkOptions('vgg11', options, { input: true, classes: true, norm: true, width: true })
  const { input, classes, norm = 'instance', width = 64 } = options
  checkCounts('vgg11', { classes, width })
  const layers: Layer[] = []
  for (const [i, [times, pooled]] of plan.entries()) {
    const pad = i === 0 ? firstPad(3, input) : 1
    const block = { channels: times * width, kernel: 3, pad, norm, pooling: pooled ? 'max' : 'none' } as const
    layers.push(convBlock(i, layers.at(-1)?.output ?? input, block))
  }
  return compose({ name: norm === 'batch' ? 'vgg11-bn' : 'vgg11', input, classes, layers })
}
