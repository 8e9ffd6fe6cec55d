/** @file MobileNetV2 (arXiv 1801.04381) for small images, with expansion 2 and ReLU, as KRR-ST's architecture comparison has it. */
import { add, constant, conv2d, equal, mul, type Value } from '../../engine/index.js'
import { checkCounts, checkNetworkOptions, compose, convNorm, convolvedMap, globalAverage, type Layer, type Pass, tap } from '../blocks.js'
import type { MapShape, Network, ParameterSpec } from '../module.js'
import { normLayer } from '../normalization.js'

export interface MobileNetOptions {
  /** [H, W, C] of one image. */
  readonly input: MapShape
  readonly classes: number
  /** Multiplies the channels of every layer, default 1; they are rounded up to whole numbers. */
  readonly width?: number
}

/** Expansion, channels, blocks, stride of the first of them. */
const rows = [
  [1, 16, 1, 1],
  [2, 24, 2, 1],
  [2, 32, 3, 2],
  [2, 64, 4, 2],
  [2, 96, 3, 1],
  [2, 160, 3, 2],
  [2, 320, 1, 1],
] as const
const stemChannels = 32
const lastChannels = 1280

/**
 * Parameters conv0, norm0, then blockB.{conv0, norm0, depthwise, norm1, conv1, norm2, shortcut.conv, shortcut.norm}, conv1, norm1, fc.
 * Convolutions have no bias; norms are batch norms. A block of stride 1 has a shortcut, a 1x1 convolution with norm where the channels
 * change. The taps are the ReLU maps of the stem, of each block's two activations and of the last layer. @throws AludelError 'invalid_option'
 */
export function mobileNet(options: MobileNetOptions): Network {
  checkNetworkOptions('mobileNet', options, { input: true, classes: true, width: true })
  const { input, classes, width = 1 } = options
  checkCounts('mobileNet', { classes })
  const scaled = (channels: number) => Math.ceil(width * channels)
  checkCounts('mobileNet', { 'last channels': scaled(lastChannels) })
  const layers: Layer[] = [pointwise(['conv0', 'norm0'], input, { channels: scaled(stemChannels), kernel: 3, pad: 1 })]
  for (const [expansion, channels, blocks, stride] of rows) {
    for (let i = 0; i < blocks; i++) {
      const map = (layers.at(-1) as Layer).output
      layers.push(
        invertedResidual(`block${layers.length - 1}`, map, { expansion, channels: scaled(channels), stride: i === 0 ? stride : 1 }),
      )
    }
  }
  layers.push(pointwise(['conv1', 'norm1'], (layers.at(-1) as Layer).output, { channels: scaled(lastChannels), kernel: 1, pad: 0 }))
  layers.push(globalAverage((layers.at(-1) as Layer).output))
  return compose({ name: 'mobilenet', input, classes, layers })
}

function pointwise(names: readonly [string, string], map: MapShape, conv: { channels: number; kernel: number; pad: number }): Layer {
  const inner = convNorm(names, map, { ...conv, norm: 'batch' })
  return { ...inner, apply: (x, pass) => tap(inner.apply(x, pass, true), pass) }
}

/** norm(conv1(relu(norm(depthwise(relu(norm(conv0(x)))))))), plus the shortcut where the stride is 1. */
function invertedResidual(
  name: string,
  map: MapShape,
  { expansion, channels, stride }: { readonly expansion: number; readonly channels: number; readonly stride: number },
): Layer {
  const single = { kernel: 1, pad: 0, norm: 'batch' } as const
  const expand = convNorm([`${name}.conv0`, `${name}.norm0`], map, { ...single, channels: expansion * map[2] })
  const depthwise = depthwiseNorm([`${name}.depthwise`, `${name}.norm1`], expand.output, stride)
  const project = convNorm([`${name}.conv1`, `${name}.norm2`], depthwise.output, { ...single, channels })
  const shortcut =
    stride === 1 && map[2] !== channels
      ? convNorm([`${name}.shortcut.conv`, `${name}.shortcut.norm`], map, { ...single, channels })
      : undefined
  const parts = [expand, depthwise, project, ...(shortcut ? [shortcut] : [])]
  return {
    parameters: parts.flatMap((part) => part.parameters),
    state: parts.flatMap((part) => part.state),
    output: project.output,
    apply(x, pass) {
      const wide = tap(expand.apply(x, pass, true), pass)
      const branch = project.apply(tap(depthwise.apply(wide, pass), pass), pass, false)
      if (stride !== 1) return branch
      return add(branch, shortcut ? shortcut.apply(x, pass, false) : x)
    },
  }
}

/**
 * A 3x3 convolution of each channel by itself, norm and ReLU. It runs as a convolution of all channels whose weight is zero between
 * different ones: about five times the multiplications over the whole network, in a kernel that reaches the machine's peak.
 */
function depthwiseNorm([convName, normName]: readonly [string, string], map: MapShape, stride: number) {
  const channels = map[2]
  const geometry = { channels, kernel: 3, pad: 1, stride }
  const output = convolvedMap(convName, map, geometry)
  // The fan-in is that of one channel.
  const weight: ParameterSpec = {
    ...{ name: `${convName}.weight`, shape: [3, 3, 1, channels], layout: 'conv' as const },
    init: { kind: 'uniform', bound: 1 / 3 },
  }
  const normalization = normLayer(normName, 'batch', output)
  return {
    parameters: [weight, ...normalization.parameters],
    state: normalization.state,
    output,
    apply(x: Value, pass: Pass): Value {
      const dense = mul(pass.parameters[weight.name], sameChannel(channels))
      return normalization.apply(conv2d(x, dense, undefined, { stride, pad: 1 }), pass, { relu: true, pool: 0 })
    },
  }
}

/** 1 where input and output channel are the same, else 0: [C, C]. */
function sameChannel(channels: number): Value {
  const numbers = Float32Array.from({ length: channels }, (_, c) => c)
  return equal(constant(numbers, [channels, 1]), constant(numbers, [1, channels]))
}
