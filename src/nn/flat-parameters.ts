/** @file All parameters of one network as one vector, in the public order: tensor after tensor as the network lists them, each row-major in PyTorch's layout. */
import { sizeOf } from '../engine/tensor/shape.js'
import { expected } from '../errors.js'
import { parameterToEngine, parameterToTorch } from './layout.js'
import { type Network, parameterCount } from './module.js'

/** A flat vector cut into the engine's tensors, by name and without group axis. Throws `invalid_shape` for another length. */
export function flatToEngine<T extends Float32Array | Float64Array>(network: Network, flat: T): Record<string, T> {
  const count = parameterCount(network)
  if (flat.length !== count) throw expected('invalid_shape', `parameters of ${network.name}`, `${count} numbers`, flat.length)
  let end = 0
  return Object.fromEntries(
    network.parameters.map((parameter) => {
      const begin = end
      end += sizeOf(parameter.shape)
      return [parameter.name, parameterToEngine(parameter, flat.subarray(begin, end) as T)]
    }),
  )
}

/** The engine's tensors of one network as one vector. Throws `invalid_shape` for a tensor of another length. */
export function engineToFlat(network: Network, tensors: Readonly<Record<string, Float32Array>>): Float32Array {
  const flat = new Float32Array(parameterCount(network))
  let begin = 0
  for (const parameter of network.parameters) {
    const size = sizeOf(parameter.shape)
    const tensor = tensors[parameter.name]
    if (tensor?.length !== size) throw expected('invalid_shape', `parameter '${parameter.name}'`, `${size} numbers`, tensor?.length)
    flat.set(parameterToTorch(parameter, tensor), begin)
    begin += size
  }
  return flat
}
