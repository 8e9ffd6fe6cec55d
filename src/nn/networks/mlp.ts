/** @file Multilayer perceptron of the DC lineage: linear layers of 128 with ReLU over the flattened image. */
import { checkCounts, checkNetworkOptions, compose } from '../blocks.js'
import type { MapShape, Network } from '../module.js'

export interface MlpOptions {
  /** [H, W, C] of one image. */
  readonly input: MapShape
  readonly classes: number
  /** Linear layers, the last one to the classes; default 3 as in DC's code. */
  readonly depth?: number
  /** Outputs of every layer but the last, default 128. */
  readonly width?: number
}

/** Parameters fc0.weight, fc0.bias, …, fc.weight, fc.bias; the taps are the hidden layers as 1x1 maps. @throws AludelError 'invalid_option' */
export function mlp(options: MlpOptions): Network {
  checkNetworkOptions('mlp', options, { input: true, classes: true, depth: true, width: true })
  const { input, classes, depth = 3, width = 128 } = options
  checkCounts('mlp', { classes, depth, width })
  return compose({ name: 'mlp', input, classes, layers: [], hidden: Array<number>(depth - 1).fill(width) })
}
