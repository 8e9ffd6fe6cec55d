/** @file What a network is: parameter and state specifications and `apply` over traced values. A user's own network is the same object. */

import { checkOptions, isRecord } from '../arguments.js'
import { full, mul, randomNormal, randomUniform, scalar, spec, sub, trace, type Value } from '../engine/index.js'
import type { Shape } from '../engine/tensor/shape.js'
import { expected } from '../errors.js'
import { truncatedNormal } from './truncated-normal.js'

/** [H, W, C] of an image or a feature map. */
export type MapShape = readonly [number, number, number]

/** One parameter tensor, without the group axis. The flat public order is that of the list. */
export interface ParameterSpec {
  readonly name: string
  readonly shape: Shape
  /** What the axes are: conv [KH, KW, in, out], linear [in, out], map [H, W, C] (layer norm), tokens [T, C] (positions), vector [C]. */
  readonly layout: 'conv' | 'linear' | 'map' | 'tokens' | 'vector'
  /** The feature map whose flattened elements are the rows of a linear weight; absent when they have no spatial order. */
  readonly rows?: MapShape
  /**
   * PyTorch's defaults: uniform in ±bound (bound = 1/sqrt(fan_in)), normal around 0 (torch.randn has std 1), or a constant; and JAX's: normal
   * cut off at two deviations, and stretched so that `std` is what is left (lecun-normal has 1/sqrt(fan_in)).
   */
  readonly init:
    | { readonly kind: 'uniform'; readonly bound: number }
    | { readonly kind: 'normal'; readonly std: number }
    | { readonly kind: 'truncated-normal'; readonly std: number }
    | { readonly kind: 'constant'; readonly value: number }
}

/** One tensor that training updates without a gradient (a running statistic), without the group axis. */
export interface StateSpec {
  readonly name: string
  readonly shape: Shape
  /** The value that a fresh network starts with. */
  readonly initial: number
}

/** Parameter (or state) tensors by name, each with the group axis G in front. */
export type Parameters = Readonly<Record<string, Value>>

export interface ApplyOptions {
  /** 'train' (default) normalises by the batch at hand, as all matching does; 'eval' by the running statistics in `state`. */
  readonly mode?: 'train' | 'eval'
  /** Tensors of `Network.state`: read in eval mode; updated copies are returned in train mode. Matching leaves it out. */
  readonly state?: Parameters
  /** 0/1 validity of rows, [G, N]: padded rows stay out of batch statistics. */
  readonly rowWeights?: Value
  /** Draws of a network with `dropout`; without them, and in eval mode, nothing is dropped. */
  readonly draws?: DropoutDraws
  /** Also return the ReLU maps of the blocks before pooling (costs writing them). */
  readonly taps?: boolean
}

/** Where the bits of dropout come from: a network draws the same ones in any grouping. */
export interface DropoutDraws {
  /** u32 [2] for each of the G networks. */
  readonly keys: readonly Value[]
  /** u32 [1], another one for every pass (the training step). */
  readonly counter: Value
}

export interface Applied {
  /** [G, N, classes] */
  readonly logits: Value
  /** [G, N, features]: the input of the last linear layer, flattened NHWC. */
  readonly embedding: Value
  /** ReLU maps by block, [G, N, H, W, C]; empty unless asked for. */
  readonly taps: readonly Value[]
  /** In train mode the given state, updated by this batch (every tensor of `Network.state`); in eval mode, or when none was given, empty. */
  readonly state: Parameters
}

export interface Network {
  readonly name: string
  /** [H, W, C] of one image. */
  readonly input: MapShape
  readonly classes: number
  readonly parameters: readonly ParameterSpec[]
  /** Running statistics; empty for networks without batch norm. */
  readonly state: readonly StateSpec[]
  /** Share of the activations that `apply` drops in training, in [0, 1), where it is given `draws`. Absent: it draws nothing. */
  readonly dropout?: number
  /** x: [G, N, H, W, C]; parameters carry the same G. */
  apply(parameters: Parameters, x: Value, options?: ApplyOptions): Applied
}

/** Throws `invalid_option` unless `network` is one. */
function checkNetwork(what: string, network: Network): void {
  const { parameters, state, apply } = isRecord(network) ? network : {}
  if (Array.isArray(parameters) && Array.isArray(state) && typeof apply === 'function') return
  throw expected('invalid_option', what, 'a network: an object with name, input, classes, parameters, state and apply', network)
}

/** Random parameters are addressed by (key, counter, firstParameterPurpose + position), so every network of a run draws its own bits. */
export const firstParameterPurpose = 0x1000

/** Fresh parameters of `groups` networks, drawn inside the trace. key: u32 [2], counter: u32 [1]. */
export function initialize(network: Network, draw: { key: Value; counter: Value; groups?: number }): Parameters {
  checkNetwork('initialize', network)
  checkOptions('initialize', draw, { key: true, counter: true, groups: true })
  const groups = draw.groups ?? 1
  return Object.fromEntries(
    network.parameters.map(({ name, shape, init }, i) => {
      const withGroups = [groups, ...shape]
      if (init.kind === 'constant') return [name, full(withGroups, init.value)]
      const place = firstParameterPurpose + i
      if (init.kind === 'normal') return [name, mul(randomNormal(draw.key, draw.counter, withGroups, place), scalar(init.std))]
      const unit = randomUniform(draw.key, draw.counter, withGroups, place)
      if (init.kind === 'truncated-normal') return [name, mul(truncatedNormal(unit), scalar(init.std))]
      return [name, mul(sub(mul(unit, scalar(2)), scalar(1)), scalar(init.bound))]
    }),
  )
}

/** State of `groups` fresh networks, as constants of the trace. */
export function initialState(network: Network, groups = 1): Parameters {
  checkNetwork('initialState', network)
  return Object.fromEntries(network.state.map(({ name, shape, initial }) => [name, full([groups, ...shape], initial)]))
}

/** Number of scalars in one network. */
export function parameterCount(network: Network): number {
  checkNetwork('parameterCount', network)
  return network.parameters.reduce((n, { shape }) => n + shape.reduce((a, b) => a * b, 1), 0)
}

/** Number of ReLU maps that the network gives with `taps`: traced over one image, nothing is computed. */
export function tapCount(network: Network): number {
  let count = 0
  trace(
    (x, ...values) => {
      const named = Object.fromEntries(network.parameters.map(({ name }, i) => [name, values[i]]))
      const { taps, logits } = network.apply(named, x, { taps: true })
      count = taps.length
      return [logits]
    },
    [spec([1, 1, ...network.input]), ...network.parameters.map(({ shape }) => spec([1, ...shape]))],
  )
  return count
}
