/**
 * @file The weights of one network as safetensors, in PyTorch's order and under PyTorch's names: a module whose layers bear the same names
 * loads them as its state_dict. Normalisation has weight, bias, running_mean and running_var there.
 */
import { maxFileBytes, readWhole } from '../data/file-bytes.js'
import { sizeOf } from '../engine/tensor/shape.js'
import { AludelError, expected } from '../errors.js'
import { writeAtomic } from '../files/atomic-file.js'
import { decodeSafetensors, encodeSafetensors, type SafeTensor } from '../files/safetensors.js'
import { parameterToEngine, parameterToTorch } from '../nn/layout.js'
import type { Network, ParameterSpec } from '../nn/module.js'
import type { NetworkTensors } from './onnx/export-network.js'

const format = 'aludel-network'

/** The endings that differ, ours first. */
const endings: readonly (readonly [string, string])[] = [
  ['.gamma', '.weight'],
  ['.beta', '.bias'],
  ['.mean', '.running_mean'],
  ['.variance', '.running_var'],
]

/** What PyTorch's batch norm keeps beside its statistics; nothing here depends on it. */
const ignored = /\.num_batches_tracked$/

export const torchName = (name: string): string => {
  const [ours, torch] = endings.find(([ending]) => name.endsWith(ending)) ?? ['', '']
  return name.slice(0, name.length - ours.length) + torch
}

/** [out, in, KH, KW], [out, in], [C, H, W], [tokens, width] or [C]. */
export function torchShape({ layout, shape: [a, b, c, d] }: Pick<ParameterSpec, 'layout' | 'shape'>): number[] {
  if (layout === 'conv') return [d, c, a, b]
  if (layout === 'linear') return [b, a]
  if (layout === 'tokens') return [a, b]
  return layout === 'map' ? [c, a, b] : [a]
}

interface Entry {
  readonly name: string
  readonly list: 'parameters' | 'state'
  readonly shape: number[]
  readonly spec: ParameterSpec | undefined
}

function entriesOf(network: Network): Entry[] {
  return [
    ...network.parameters.map((spec): Entry => ({ name: spec.name, list: 'parameters', shape: torchShape(spec), spec })),
    ...network.state.map(({ name, shape }): Entry => ({ name, list: 'state', shape: [...shape], spec: undefined })),
  ]
}

/** Writes the tensors of a network as one file; old or new, never half. Throws `invalid_data` for a tensor that is missing or of another size, `io`. */
export async function saveNetwork(path: string, network: Network, tensors: NetworkTensors): Promise<void> {
  const file = new Map<string, SafeTensor>()
  for (const { name, list, shape, spec } of entriesOf(network)) {
    const data: unknown = tensors?.[list]?.[name]
    if (!(data instanceof Float32Array) || data.length !== sizeOf(shape))
      throw expected('invalid_data', `network '${network.name}': tensor '${name}'`, `a Float32Array of ${sizeOf(shape)} elements`, data)
    const ordered = spec ? parameterToTorch(spec, data) : data.slice()
    file.set(torchName(name), { dtype: 'F32', shape, data: new Uint8Array(ordered.buffer) })
  }
  await writeAtomic(path, encodeSafetensors(file, { format, network: network.name }))
}

/**
 * Reads the tensors of `network` from a file of `saveNetwork`, or from any safetensors file of its names and shapes in PyTorch's order.
 * Throws `not_found`, `invalid_data` for a tensor that is missing, of another shape or dtype, or one too many; `not_finite`, `io`.
 */
export async function loadNetwork(path: string, network: Network): Promise<NetworkTensors> {
  const { tensors } = decodeSafetensors(path, await readWhole(path, maxFileBytes, 'give a safetensors file of weights'))
  const found = { parameters: {} as Record<string, Float32Array>, state: {} as Record<string, Float32Array> }
  const known = new Set<string>()
  for (const { name, list, shape, spec } of entriesOf(network)) {
    const torch = torchName(name)
    known.add(torch)
    const tensor = tensors.get(torch)
    const wanted = `F32 [${shape.join(', ')}] of network '${network.name}' in PyTorch's order`
    if (!tensor)
      throw expected('invalid_data', `${path}: tensor '${torch}'`, wanted, `none; it has ${[...tensors.keys()].slice(0, 8).join(', ')}`)
    if (tensor.dtype !== 'F32' || tensor.shape.join() !== shape.join())
      throw expected('invalid_data', `${path}: tensor '${torch}'`, wanted, `${tensor.dtype} [${tensor.shape.join(', ')}]`)
    const data = new Float32Array(tensor.data.slice().buffer)
    const bad = data.findIndex((value) => !Number.isFinite(value))
    if (bad >= 0) throw new AludelError('not_finite', `${path}: tensor '${torch}': element ${bad} is ${data[bad]}`)
    found[list][name] = spec ? parameterToEngine(spec, data) : data
  }
  const extra = [...tensors.keys()].find((name) => !known.has(name) && !ignored.test(name))
  if (extra !== undefined) throw expected('invalid_data', `${path}: tensors`, `those of network '${network.name}' only`, extra)
  return found
}
