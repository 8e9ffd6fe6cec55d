/**
 * @file ResNets for small images: a 3x3 stem of stride 1, four stages of basic blocks, global average pooling, one linear layer. ResNet-18 in
 * the form of DC, and ResNet-10 and -18 in that of torchvision with a stem of padding 2, as KRR-ST and solo-learn have them.
 */
import { add, relu } from '../../engine/index.js'
import { expected } from '../../errors.js'
import { checkCounts, checkNetworkOptions, compose, convNorm, firstPad, globalAverage, type Layer, tap } from '../blocks.js'
import type { MapShape, Network } from '../module.js'

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
  const layers = residualLayers(input, { blocks: 2, width, norm, stemPad: firstPad(3, input) })
  return compose({ name: norm === 'batch' ? 'resnet18-bn' : 'resnet18', input, classes, layers })
}

export interface PaddedResNetOptions {
  /** [H, W, C] of one image. */
  readonly input: MapShape
  readonly classes: number
  /** 10 (one block a stage) or 18 (two). */
  readonly depth: 10 | 18
  /** Channels of the stem and the first stage, default 64; later stages double them. */
  readonly width?: number
}

/**
 * ResNet with batch norm, parameters as `resNet18`: the stem pads by 2, so that 32 pixels become 34; convolutions behind it start normal of
 * variance 2 / fan out; the last norm of each branch starts at 0, so that a block starts as its shortcut (torchvision's
 * `zero_init_residual`). @throws AludelError 'invalid_option'
 */
export function paddedResNet(options: PaddedResNetOptions): Network {
  checkNetworkOptions('paddedResNet', options, { input: true, classes: true, depth: true, width: true })
  const { input, classes, depth, width = 64 } = options
  checkCounts('paddedResNet', { classes, width })
  if (depth !== 10 && depth !== 18) throw expected('invalid_option', 'paddedResNet depth', '10 or 18', depth)
  const blocks = (depth - 2) / 8
  const stemPad = firstPad(3, input) + 1
  const layers = residualLayers(input, { blocks, width, norm: 'batch', stemPad, init: 'fan-out', gamma: 0 })
  return compose({ name: depth === 18 ? 'resnet18-krr' : `resnet${depth}`, input, classes, layers })
}

interface BranchOptions {
  readonly norm: ResNetNorm
  /** Draws of the convolutions behind the stem. */
  readonly init?: 'uniform' | 'fan-out'
  /** Initial scale of the last norm of each branch. */
  readonly gamma?: number
}

interface ResidualOptions extends BranchOptions {
  /** In each of the four stages. */
  readonly blocks: number
  readonly width: number
  readonly stemPad: number
}

function residualLayers(input: MapShape, { blocks, width, stemPad, ...branch }: ResidualOptions): Layer[] {
  const layers: Layer[] = [stem(input, width, stemPad, branch.norm)]
  for (let stage = 0; stage < 4; stage++) {
    for (let block = 0; block < blocks; block++) {
      const stride = stage > 0 && block === 0 ? 2 : 1
      const map = (layers.at(-1) as Layer).output
      layers.push(basicBlock(`stage${stage}.block${block}`, map, { channels: width << stage, stride, ...branch }))
    }
  }
  layers.push(globalAverage((layers.at(-1) as Layer).output))
  return layers
}

function stem(input: MapShape, channels: number, pad: number, norm: ResNetNorm): Layer {
  const inner = convNorm(['conv0', 'norm0'], input, { channels, kernel: 3, pad, norm })
  return { ...inner, apply: (x, pass) => tap(inner.apply(x, pass, true), pass) }
}

/** relu(norm(conv(relu(norm(conv(x))))) + shortcut(x)); the shortcut is a 1x1 convolution with norm where the shapes differ. */
function basicBlock(
  name: string,
  map: MapShape,
  { channels, stride, norm, init, gamma }: BranchOptions & { readonly channels: number; readonly stride: number },
): Layer {
  const conv3 = { channels, kernel: 3, pad: 1, norm, init }
  const first = convNorm([`${name}.conv0`, `${name}.norm0`], map, { ...conv3, stride })
  const second = convNorm([`${name}.conv1`, `${name}.norm1`], first.output, { ...conv3, gamma })
  const changes = stride !== 1 || map[2] !== channels
  const shortcut = changes
    ? convNorm([`${name}.shortcut.conv`, `${name}.shortcut.norm`], map, { channels, kernel: 1, pad: 0, stride, norm, init })
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
