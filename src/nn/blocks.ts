/** @file Layers that the networks are composed of. Maps are [G, N, H, W, C]; every layer declares its parameters in PyTorch's order. */

import { checkOptions } from '../arguments.js'
import { add, avgPool2d, conv2d, greater, matmul, maxPool2d, mul, relu, reshape, select, sigmoid, type Value } from '../engine/index.js'
import { formatShape, sizeOf } from '../engine/tensor/shape.js'
import { expected } from '../errors.js'
import type { Applied, ApplyOptions, MapShape, Network, ParameterSpec, Parameters, StateSpec } from './module.js'
import { type Norm, type NormPass, normLayer } from './normalization.js'

export const activations = ['relu', 'sigmoid', 'leakyrelu'] as const
export type Activation = (typeof activations)[number]
export const poolings = ['avg', 'max', 'none'] as const
export type Pooling = (typeof poolings)[number]

/** One call of `apply`, handed from layer to layer. */
export interface Pass extends NormPass {
  /** Receives the ReLU maps when they are asked for. */
  readonly taps: Value[]
}

export interface Layer {
  readonly parameters: readonly ParameterSpec[]
  readonly state: readonly StateSpec[]
  /** [H, W, C] of the result. */
  readonly output: MapShape
  apply(x: Value, pass: Pass): Value
}

/** Keeps a ReLU map among the taps when they are asked for. */
export function tap(x: Value, { options, taps }: Pass): Value {
  if (options.taps) taps.push(x)
  return x
}

/** Images of 28 pixels are padded by 2 more in the first convolution, so that the map is 32 wide (DC). */
export const firstPad = (kernel: number, [height]: MapShape): number => (kernel - 1) / 2 + (height === 28 ? 2 : 0)

export type WeightInit = 'uniform' | 'fan-out' | 'lecun-normal'

export interface ConvLayerOptions {
  readonly channels: number
  readonly kernel: number
  readonly pad: number
  readonly stride?: number
  readonly bias?: boolean
  /**
   * Draws of the weight: uniform in ±1/sqrt(fan in) (default), normal of variance 2 / fan out (He et al., torchvision's ResNets), or Flax's
   * lecun-normal, of variance 1 / fan in and with biases of 0.
   */
  readonly init?: WeightInit | undefined
}

type Init = ParameterSpec['init']

function initialOf(init: WeightInit, fanIn: number, fanOut: number): { readonly weight: Init; readonly bias: Init } {
  const uniform = { kind: 'uniform', bound: 1 / Math.sqrt(fanIn) } as const
  if (init === 'lecun-normal')
    return { weight: { kind: 'truncated-normal', std: 1 / Math.sqrt(fanIn) }, bias: { kind: 'constant', value: 0 } }
  return { weight: init === 'uniform' ? uniform : { kind: 'normal', std: Math.sqrt(2 / fanOut) }, bias: uniform }
}

/** Convolution with PyTorch's default draws unless `init` says otherwise: weight and bias uniform in ±1/sqrt(fan in). */
export function convLayer(name: string, [height, width, inputs]: MapShape, options: ConvLayerOptions): Layer {
  const { channels, kernel, pad, stride = 1, bias = true } = options
  const initial = initialOf(options.init ?? 'uniform', kernel * kernel * inputs, kernel * kernel * channels)
  const weight: ParameterSpec = { name: `${name}.weight`, shape: [kernel, kernel, inputs, channels], layout: 'conv', init: initial.weight }
  const vector: ParameterSpec = { name: `${name}.bias`, shape: [channels], layout: 'vector', init: initial.bias }
  const parameters = bias ? [weight, vector] : [weight]
  const output = convolvedMap(name, [height, width, inputs], options)
  return {
    parameters,
    state: [],
    output,
    apply: (x, { parameters: p }) => conv2d(x, p[`${name}.weight`], bias ? p[`${name}.bias`] : undefined, { stride, pad }),
  }
}

/** [H, W, C] that a convolution gives of a map; refuses one that it is too large for. */
export function convolvedMap(name: string, [height, width, inputs]: MapShape, options: ConvLayerOptions): MapShape {
  const { channels, kernel, pad, stride = 1 } = options
  const size = (pixels: number) => Math.floor((pixels + 2 * pad - kernel) / stride) + 1
  const output: MapShape = [size(height), size(width), channels]
  checkMap(name, output, [height, width, inputs])
  return output
}

function checkMap(name: string, [height, width]: MapShape, input: MapShape): void {
  if (height < 1 || width < 1) {
    throw expected(
      'invalid_option',
      name,
      'a map that is large enough for the layer',
      formatShape(input),
      'use larger images or fewer blocks',
    )
  }
}

export function activate(x: Value, activation: Activation): Value {
  if (activation === 'sigmoid') return sigmoid(x)
  // PyTorch's default slope.
  return activation === 'relu' ? relu(x) : select(greater(x, 0), x, mul(x, 0.01))
}

/** A convolution without bias and a norm, which residual branches consist of; `apply` with ReLU or without. */
export function convNorm(
  [convName, normName]: readonly [string, string],
  map: MapShape,
  { norm, gamma, ...conv }: Omit<ConvLayerOptions, 'bias'> & { readonly norm: Norm; readonly gamma?: number | undefined },
) {
  const convolution = convLayer(convName, map, { ...conv, bias: false })
  const normalization = normLayer(normName, norm, convolution.output, gamma)
  return {
    parameters: [...convolution.parameters, ...normalization.parameters],
    state: normalization.state,
    output: convolution.output,
    apply: (x: Value, pass: Pass, active: boolean) => normalization.apply(convolution.apply(x, pass), pass, { relu: active, pool: 0 }),
  }
}

/** Mean over all positions of a map. */
export const globalAverage = ([height, width, channels]: MapShape): Layer => ({
  parameters: [],
  state: [],
  output: [1, 1, channels],
  apply: (x) => avgPool2d(x, { window: [height, width] }),
})

export interface ConvBlockOptions extends ConvLayerOptions {
  readonly norm: Norm
  readonly activation?: Activation
  /** Over 2x2 windows with stride 2; a remainder of rows or columns is left out. */
  readonly pooling: Pooling
}

/** Block `index` of a plain network: convolution `convINDEX` -> norm `normINDEX` -> activation -> pooling. */
export function convBlock(index: number, input: MapShape, options: ConvBlockOptions): Layer {
  const { norm, activation = 'relu', pooling } = options
  const convolution = convLayer(`conv${index}`, input, options)
  const normalization = normLayer(`norm${index}`, norm, convolution.output)
  const [height, width, channels] = convolution.output
  const output: MapShape = pooling === 'none' ? convolution.output : [height >> 1, width >> 1, channels]
  checkMap(`pooling of block ${index}`, output, convolution.output)
  return {
    parameters: [...convolution.parameters, ...normalization.parameters],
    state: normalization.state,
    output,
    apply(x, pass) {
      const fused = activation === 'relu'
      // Norm, ReLU and average pooling are one op, unless the ReLU map itself is asked for.
      const whole = fused && pooling === 'avg' && !pass.options.taps
      const normed = normalization.apply(convolution.apply(x, pass), pass, { relu: fused, pool: whole ? 2 : 0 })
      if (whole) return normed
      const active = tap(fused ? normed : activate(normed, activation), pass)
      if (pooling === 'none') return active
      return pooling === 'avg' ? avgPool2d(active, { window: 2 }) : maxPool2d(active, { window: 2 })
    },
  }
}

/** Linear layer over flattened maps, x [G, N, H*W*C] -> [G, N, outputs]; weight and bias uniform in ±1/sqrt(H*W*C), or lecun-normal. */
export function linearLayer(name: string, rows: MapShape, outputs: number, init: 'uniform' | 'lecun-normal' = 'uniform'): Layer {
  const features = sizeOf(rows)
  const initial = initialOf(init, features, outputs)
  return {
    parameters: [
      { name: `${name}.weight`, shape: [features, outputs], layout: 'linear', rows, init: initial.weight },
      { name: `${name}.bias`, shape: [outputs], layout: 'vector', init: initial.bias },
    ],
    state: [],
    output: [1, 1, outputs],
    apply: (x, { parameters }) =>
      add(matmul(x, parameters[`${name}.weight`]), reshape(parameters[`${name}.bias`], [x.shape[0], 1, outputs])),
  }
}

export interface Composition {
  readonly name: string
  readonly input: MapShape
  readonly classes: number
  /** Layers over maps, in order. */
  readonly layers: readonly Layer[]
  /** Widths of linear layers with ReLU between the maps and the last linear layer `fc`; named fc0, fc1, … */
  readonly hidden?: readonly number[]
  /** Draws of the linear layers. */
  readonly init?: 'uniform' | 'lecun-normal'
}

/** A network of layers one after another, then flatten, hidden linear layers, and `fc` to the classes. */
export function compose({ name, input, classes, layers, hidden = [], init = 'uniform' }: Composition): Network {
  checkCounts(name, { classes })
  let map = layers.at(-1)?.output ?? input
  const dense = hidden.map((width, i) => {
    const layer = linearLayer(`fc${i}`, map, width, init)
    map = layer.output
    return layer
  })
  const head = linearLayer('fc', map, classes, init)
  const all = [...layers, ...dense, head]

  function apply(parameters: Parameters, x: Value, options: ApplyOptions = {}): Applied {
    const pass: Pass = { parameters, options, taps: [], nextState: {} }
    const last = layers.reduce((y, layer) => layer.apply(y, pass), x)
    const [groups, rows] = last.shape
    let embedding = reshape(last, [groups, rows, sizeOf(last.shape.slice(2))])
    for (const layer of dense) {
      embedding = relu(layer.apply(embedding, pass))
      tap(reshape(embedding, [groups, rows, ...layer.output]), pass)
    }
    return { logits: head.apply(embedding, pass), embedding, taps: pass.taps, state: pass.nextState }
  }

  return { name, input, classes, parameters: all.flatMap((l) => l.parameters), state: all.flatMap((l) => l.state), apply }
}

/** Refuses options whose names are not `known`, and an input that is no [H, W, C]. */
export function checkNetworkOptions<T extends { readonly input: MapShape }>(
  network: string,
  options: T,
  known: Readonly<Record<keyof T, true>>,
): void {
  checkOptions(network, options, known)
  checkInput(network, options.input)
}

export function checkInput(network: string, input: MapShape): void {
  if (Array.isArray(input) && input.length === 3 && [...input].every((size) => Number.isSafeInteger(size) && size >= 1)) return
  throw expected('invalid_option', `${network} input`, '[height, width, channels] of one image', input)
}

/** Refuses sizes that are not whole numbers >= 1. */
export function checkCounts(network: string, counts: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(counts)) {
    if (!Number.isSafeInteger(value) || value < 1) throw expected('invalid_option', `${network} ${name}`, 'a whole number >= 1', value)
  }
}
