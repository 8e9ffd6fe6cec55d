/** @file AlexNet for small images (DC): five convolutions with ReLU, three max-pools, one linear layer, no normalisation unless asked for. */
import { expected } from '../../errors.js'
import { checkCounts, checkNetworkOptions, compose, convBlock, firstPad, type Layer } from '../blocks.js'
import type { MapShape, Network } from '../module.js'

export interface AlexNetOptions {
  /** [H, W, C] of one image, at least 8 pixels; 28 pixels are padded to 32. */
  readonly input: MapShape
  readonly classes: number
  /** Channels of the first convolution, even, default 128; the others keep their ratio (192, 256, 192, 192). */
  readonly width?: number
  /** Default 'none'; 'batch' behind every convolution is KRR-ST's. */
  readonly norm?: 'none' | 'batch'
}

/** Blocks conv0 … conv4; the flattened last map is the embedding. @throws AludelError 'invalid_option' */
export function alexNet(options: AlexNetOptions): Network {
  checkNetworkOptions('alexNet', options, { input: true, classes: true, width: true, norm: true })
  const { input, classes, width = 128, norm = 'none' } = options
  checkCounts('alexNet', { classes, width })
  if (width % 2 !== 0) throw expected('invalid_option', 'alexNet width', 'an even number', width)
  const wide = (3 * width) / 2
  const plan = [
    { channels: width, kernel: 5, pad: firstPad(5, input), pooling: 'max' },
    { channels: wide, kernel: 5, pad: 2, pooling: 'max' },
    { channels: 2 * width, kernel: 3, pad: 1, pooling: 'none' },
    { channels: wide, kernel: 3, pad: 1, pooling: 'none' },
    { channels: wide, kernel: 3, pad: 1, pooling: 'max' },
  ] as const
  const layers: Layer[] = []
  for (const [i, block] of plan.entries()) layers.push(convBlock(i, layers.at(-1)?.output ?? input, { ...block, norm }))
  return compose({ name: norm === 'batch' ? 'alexnet-bn' : 'alexnet', input, classes, layers })
}
