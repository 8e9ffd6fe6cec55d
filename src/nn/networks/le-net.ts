/** @file LeNet-5 in the form of the DC lineage: ReLU and max-pooling instead of the original's sigmoids and means. */
import { checkCounts, checkNetworkOptions, compose, convBlock, type Layer } from '../blocks.js'
import type { MapShape, Network } from '../module.js'

export interface LeNetOptions {
  /** [H, W, C] of one image, at least 16 pixels; 28 pixels are padded by 2 in the first convolution. */
  readonly input: MapShape
  readonly classes: number
}

/** conv 5x5 of 6 and of 16 channels, each with ReLU and max-pool 2, then linear 120, 84 and classes. @throws AludelError 'invalid_option' */
export function leNet(options: LeNetOptions): Network {
  checkNetworkOptions('leNet', options, { input: true, classes: true })
  const { input, classes } = options
  checkCounts('leNet', { classes })
  const pads = [input[0] === 28 ? 2 : 0, 0]
  const layers: Layer[] = []
  for (const [i, channels] of [6, 16].entries()) {
    const map = layers.at(-1)?.output ?? input
    layers.push(convBlock(i, map, { channels, kernel: 5, pad: pads[i], norm: 'none', pooling: 'max' }))
  }
  return compose({ name: 'lenet', input, classes, layers, hidden: [120, 84] })
}
