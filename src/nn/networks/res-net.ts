/** @file ResNet-18 for small images (DC): a 3x3 stem of stride 1, four stages of two basic blocks, global average pooling, one linear layer. */
import { add, avgPool2d, relu, type Value } from '../../engine/index.js'
import { checkCounts, checkNetworkOptions, compose, convLayer, firstPad, type Layer, type Pass, tap } from '../blocks.js'
import type { MapShape, Network } from '../module.js'
import { normLayer } from '../normalization.js'

type ResNetNorm = 'instance' | 'batch'

export interface ResNet18Options {
  /** [H, W, C] of one image; 28 pixels are padded to 32. */
  readonly input: MapShape
  readonly classes: number
  /** Default 'instance'. */
  readonly norm?: ResNetNorm
  /** Channels of the stem and the first stage, default 64; later stages double them. */
  readonly width?: number
}

/**
 * Parameters conv0, norm0, then stageS.blockB.{conv0, norm0, conv1, norm1, shortcut.conv, shortcut.norm}, fc. Convolutions have no bias.
 * The taps are the stem's ReLU map and that of each of the eight blocks. At 32 pixels the pooling is the 4x4 average of DC.
 * @throws AludelError 'invalid_option'
 */
export function resNet18(options: ResNet18Options): Network {
  checkNetworkOptions('resNet18', options, { input: true, classes: true, norm: true, width: true })
  const { input, classes, norm = 'instance', width = 64 } = options
  checkCounts('resNet18', { classes, width })
  const layers: Layer[] = [stem(input, width, norm)]
  for (let stage = 0; stage < 4; stage++) {
    for (let block = 0; block < 2; block++) {
      const stride = stage > 0 && block === 0 ? 2 : 1
      const map = (layers.at(-1) as Layer).output
      layers.push(basicBlock(`stage${stage}.block${block}`, map, { channels: width << stage, stride, norm }))
    }
  }
  layers.push(globalAverage((layers.at(-1) as Layer).output))
  return compose({ name: norm === 'batch' ? 'resnet18-bn' : 'resnet18', input, classes, layers })
}

/** conv -> norm, with ReLU or without; the parts of every residual branch. */
function convNorm(
  names: readonly [string, string],
  map: MapShape,
  conv: { channels: number; stride: number; kernel: number; pad: number },
  norm: ResNetNorm,
) {
  const convolution = convLayer(names[0], map, { ...conv, bias: false })
  const normalization = normLayer(names[1], norm, convolution.output)
  return {
    parameters: [...convolution.parameters, ...normalization.parameters],
    state: normalization.state,
    output: convolution.output,
    apply: (x: Value, pass: Pass, active: boolean) => normalization.apply(convolution.apply(x, pass), pass, { relu: active, pool: 0 }),
  }
}

function stem(input: MapShape, channels: number, norm: ResNetNorm): Layer {
  const inner = convNorm(['conv0', 'norm0'], input, { channels, stride: 1, kernel: 3, pad: firstPad(3, input) }, norm)
  return { ...inner, apply: (x, pass) => tap(inner.apply(x, pass, true), pass) }
}

/** relu(norm(conv(relu(norm(conv(x))))) + shortcut(x)); the shortcut is a 1x1 convolution with norm where the shapes differ. */
function basicBlock(
  name: string,
  map: MapShape,
  { channels, stride, norm }: { channels: number; stride: number; norm: ResNetNorm },
): Layer {
  const conv3 = { channels, kernel: 3, pad: 1 }
  const first = convNorm([`${name}.conv0`, `${name}.norm0`], map, { ...conv3, stride }, norm)
  const second = convNorm([`${name}.conv1`, `${name}.norm1`], first.output, { ...conv3, stride: 1 }, norm)
  const changes = stride !== 1 || map[2] !== channels
  const shortcut = changes
    ? convNorm([`${name}.shortcut.conv`, `${name}.shortcut.norm`], map, { channels, kernel: 1, pad: 0, stride }, norm)
    : undefined
  const parts = [first, second, ...(shortcut ? [shortcut] : [])]
  return {
    parameters: parts.flatMap((part) => part.parameters),
    state: parts.flatMap((part) => part.state),
    output: second.output,
    apply(x, pass) {
      const branch = second.apply(first.apply(x, pass, true), pass, false)
      return tap(relu(add(branch, shortcut ? shortcut.apply(x, pass, false) : x)), pass)
    },
  }
}

const globalAverage = ([height, width, channels]: MapShape): Layer => ({
  parameters: [],
  state: [],
  output: [1, 1, channels],
  apply: (x) => avgPool2d(x, { window: [height, width] }),
})
