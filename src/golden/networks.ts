/** @file Replays of the network cases: logits, embedding, pixel gradient and running statistics of every network, in train and eval mode. */

import { grad, mul, reshape, sizeOf, sum, type Value } from '../engine/index.js'
import { AludelError } from '../errors.js'
import { nchwToNhwc, nhwcToNchw, parameterToEngine, permuteAxes } from '../nn/layout.js'
import type { MapShape, Network, ParameterSpec } from '../nn/module.js'
import { alexNet } from '../nn/networks/alex-net.js'
import { convNet } from '../nn/networks/conv-net.js'
import { leNet } from '../nn/networks/le-net.js'
import { mlp } from '../nn/networks/mlp.js'
import { resNet18 } from '../nn/networks/res-net.js'
import { vgg11 } from '../nn/networks/vgg.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList } from './compare.js'
import type { GoldenEngine, Inputs } from './engines.js'
import { fieldAt, listAt, numberAt, tensorAt } from './fields.js'
import type { GoldenTensor } from './tensor.js'

const builders = { convNet, alexNet, vgg11, resNet18, leNet, mlp }

export const isNetwork = (golden: GoldenCase): boolean =>
  fieldAt(golden, 'net', 'network') !== undefined && fieldAt(golden, 'parameters') !== undefined

function networkOf(golden: GoldenCase): Network {
  const name = fieldAt(golden, 'net', 'network') as keyof typeof builders
  if (!Object.hasOwn(builders, name)) {
    throw new AludelError(
      'invalid_data',
      `${golden.name}: expected net.network among ${Object.keys(builders).join(', ')} but received '${name}'`,
    )
  }
  const input = listAt(golden, 'net', 'input') as unknown as MapShape
  return builders[name]({ ...(fieldAt(golden, 'net', 'options') as object), input, classes: numberAt(golden, 'net', 'classes') })
}

/** A tensor stored as whole numbers over a divisor. */
function gridAt(golden: GoldenCase, rank: number, ...path: (string | number)[]): GoldenTensor {
  const { shape, data } = tensorAt(golden, rank, ...path)
  const divisor = numberAt(golden, ...path, 'divisor')
  return { shape, data: data.map((n) => n / divisor) }
}

const ranks = { conv: 4, linear: 2, map: 3, tokens: 2, vector: 1 }

/** The stored list is in the order of PyTorch's registration, which is that of the specifications. */
function parameterInputs(golden: GoldenCase, parameters: readonly ParameterSpec[]): Record<string, GoldenTensor> {
  const stored = listAt(golden, 'parameters').length
  if (stored !== parameters.length) {
    throw new AludelError('invalid_data', `${golden.name}: expected ${parameters.length} parameters but received ${stored}`)
  }
  return Object.fromEntries(
    parameters.map((spec, i) => {
      const { data } = gridAt(golden, ranks[spec.layout], 'parameters', i)
      return [spec.name, { shape: [1, ...spec.shape], data: parameterToEngine(spec, data) }]
    }),
  )
}

const stateInputs = (golden: GoldenCase, { state }: Network): Record<string, GoldenTensor> =>
  Object.fromEntries(state.map(({ name, shape }, i) => [name, { ...gridAt(golden, 1, 'state', i), shape: [1, ...shape] }]))

/** Runs one mode with the taps left out (fused) and asked for (written), which must agree. */
function build(network: Network, rows: number, mode: 'train' | 'eval') {
  return (values: Readonly<Record<string, Value>>): Record<string, Value> => {
    const named = (specs: readonly { readonly name: string }[]) => Object.fromEntries(specs.map(({ name }) => [name, values[name]]))
    const parameters = named(network.parameters)
    const x = reshape(values.x, [1, ...values.x.shape])
    const options = { mode, state: named(network.state) }
    const { logits, embedding, state } = network.apply(parameters, x, options)
    const tapped = network.apply(parameters, x, { ...options, taps: true })
    const flat = reshape(logits, [rows, network.classes])
    const [gradient] = grad(sum(mul(flat, values.cotangent)), [values.x])
    return { logits, tapped_logits: tapped.logits, embedding, grad_x: gradient, ...state }
  }
}

export async function replayNetwork(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const network = networkOf(golden)
  const x = gridAt(golden, 4, 'x')
  const [rows, channels, height, width] = x.shape
  const images = { shape: [rows, height, width, channels], data: nchwToNhwc(x.data, [rows, channels, height, width]) }
  const fixed: Inputs = { x: images, cotangent: gridAt(golden, 2, 'cotangent'), ...parameterInputs(golden, network.parameters) }
  const checks = new CheckList(engine.name)
  let state = stateInputs(golden, network)
  for (const mode of network.state.length > 0 ? (['train', 'eval'] as const) : (['train'] as const)) {
    const results = await engine.run(build(network, rows, mode), { ...fixed, ...state })
    const wanted = (rank: number, name: string) => tensorAt(golden, rank, 'expected', mode, name)
    for (const name of ['logits', 'tapped_logits']) checks.add(`${mode}.${name}`, 'loss', results[name], wanted(2, 'logits'))
    checks.add(`${mode}.embedding`, 'loss', embeddingToTorch(network, results.embedding), wanted(2, 'embedding'))
    const gradient = { shape: x.shape, data: nhwcToNchw(results.grad_x.data, [rows, height, width, channels]) }
    checks.add(`${mode}.grad_x`, 'gradient', gradient, wanted(4, 'grad_x'))
    if (mode === 'eval') continue
    for (const [i, { name }] of network.state.entries())
      checks.add(name, 'loss', results[name], tensorAt(golden, 1, 'expected', 'state', i))
    // The eval pass of the case follows its train pass.
    state = Object.fromEntries(network.state.map(({ name }) => [name, results[name]]))
  }
  return checks.checks
}

/** [rows, H*W*C] -> [rows, C*H*W]. */
function embeddingToTorch(network: Network, { data }: GoldenTensor): GoldenTensor {
  const [height, width, channels] = (network.parameters.at(-2) as ParameterSpec).rows as MapShape
  const rows = data.length / sizeOf([height, width, channels])
  const shape = [rows, height, width, channels]
  return { shape: [rows, channels * height * width], data: permuteAxes(data, shape, [0, 3, 1, 2]) }
}
