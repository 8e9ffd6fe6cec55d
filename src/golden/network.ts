/** @file The ConvNet of a golden case: its description, and its weights between PyTorch's order and the engine's. */

import { div, sizeOf, softmaxCe, sum, type Value } from '../engine/index.js'
import { AludelError } from '../errors.js'
import { type FeatureMap, parameterToEngine, parameterToTorch } from '../nn/layout.js'
import type { Network, ParameterSpec } from '../nn/module.js'
import { convNet, type Norm } from '../nn/networks/conv-net.js'
import type { GoldenTensor } from './tensor.js'

export interface NetDescription {
  readonly depth: number
  readonly width: number
  readonly height: number
  readonly widthPixels: number
  readonly channels: number
  readonly classes: number
  readonly norm: Norm
  readonly eps: number
}

export interface GoldenNetwork {
  readonly network: Network
  /** The map that is flattened to the embedding. */
  readonly map: FeatureMap
}

export function buildNetwork(net: NetDescription): GoldenNetwork {
  if (net.eps !== 1e-5) throw new AludelError('invalid_data', `golden network: expected a norm epsilon of 1e-5 but received ${net.eps}`)
  const { depth, width, height, widthPixels, channels, classes, norm } = net
  const network = convNet({ input: [height, widthPixels, channels], classes, depth, width, norm })
  return { network, map: { height: height >> depth, width: widthPixels >> depth, channels: width } }
}

/** One parameter from PyTorch's order, with the group axis G = 1 in front. */
export function toEngine(parameter: ParameterSpec, { data }: GoldenTensor): GoldenTensor {
  const size = sizeOf(parameter.shape)
  if (data.length !== size)
    throw new AludelError('invalid_data', `golden weights: expected ${size} numbers for ${parameter.name} but received ${data.length}`)
  return { shape: [1, ...parameter.shape], data: parameterToEngine(parameter, data) }
}

/** The inverse of `toEngine`: PyTorch's order, flat. */
export const toTorch = (parameter: ParameterSpec, { data }: GoldenTensor): Float64Array => parameterToTorch(parameter, data)

/** All parameters as inputs of a trace, under their own names. */
export function weightInputs(golden: GoldenNetwork, weight: (parameter: ParameterSpec) => GoldenTensor): Record<string, GoldenTensor> {
  return Object.fromEntries(golden.network.parameters.map((parameter) => [parameter.name, toEngine(parameter, weight(parameter))]))
}

/** The parameters among a trace's values. */
export function parametersOf({ network }: GoldenNetwork, values: Readonly<Record<string, Value>>): Record<string, Value> {
  return Object.fromEntries(network.parameters.map(({ name }) => [name, values[name]]))
}

/** Mean cross-entropy of logits [N, K]. Divided by N, not multiplied by 1/N: the constant 1/N would be rounded to float32. */
export const meanLoss = (logits: Value, target: Value): Value => div(sum(softmaxCe(logits, target).loss), logits.shape[0])
