/** @file What a network is: parameter specifications and an init/apply pair over traced values. A user's own network is the same object. */
import { full, mul, randomUniform, scalar, spec, sub, trace, type Value } from '../engine/index.js'
import type { Shape } from '../engine/tensor/shape.js'

/** One parameter tensor, without the group axis. Layouts: conv HWIO, linear [in, out]; the flat public order is that of the list. */
export interface ParameterSpec {
  readonly name: string
  readonly shape: Shape
  readonly layout: 'conv' | 'linear' | 'vector'
  /** PyTorch's defaults: uniform in ±bound (bound = 1/sqrt(fan_in)), or a constant. */
  readonly init: { readonly kind: 'uniform'; readonly bound: number } | { readonly kind: 'constant'; readonly value: number }
}

/** Parameter tensors by name, each with the group axis G in front. */
export type Parameters = Readonly<Record<string, Value>>

export interface ApplyOptions {
  /** 0/1 validity of rows, [G, N]: padded rows stay out of batch statistics. */
  readonly rowWeights?: Value
  /** Also return the ReLU maps of the blocks before pooling (costs writing them). */
  readonly taps?: boolean
}

export interface Applied {
  /** [G, N, classes] */
  readonly logits: Value
  /** [G, N, features], flattened NHWC. */
  readonly embedding: Value
  /** ReLU maps by block, [G, N, H, W, C]; empty unless asked for. */
  readonly taps: readonly Value[]
}

export interface Network {
  readonly name: string
  /** [H, W, C] of one image. */
  readonly input: readonly [number, number, number]
  readonly classes: number
  readonly parameters: readonly ParameterSpec[]
  /** x: [G, N, H, W, C]; parameters carry the same G. */
  apply(parameters: Parameters, x: Value, options?: ApplyOptions): Applied
}

/** Random parameters are addressed by (key, counter, firstParameterPurpose + position), so every network of a run draws its own bits. */
export const firstParameterPurpose = 0x1000

/** Fresh parameters of `groups` networks, drawn inside the trace. key: u32 [2], counter: u32 [1]. */
export function initialize(network: Network, draw: { key: Value; counter: Value; groups?: number }): Parameters {
  const groups = draw.groups ?? 1
  return Object.fromEntries(
    network.parameters.map(({ name, shape, init }, i) => {
      const withGroups = [groups, ...shape]
      if (init.kind === 'constant') return [name, full(withGroups, init.value)]
      const unit = randomUniform(draw.key, draw.counter, withGroups, firstParameterPurpose + i)
      return [name, mul(sub(mul(unit, scalar(2)), scalar(1)), scalar(init.bound))]
    }),
  )
}

/** Number of scalars in one network. */
export const parameterCount = (network: Network): number =>
  network.parameters.reduce((n, { shape }) => n + shape.reduce((a, b) => a * b, 1), 0)

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
