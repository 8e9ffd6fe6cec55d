/** @file A network without its last linear layer: what gives representations. */
import { full } from '../engine/index.js'
import { AludelError } from '../errors.js'
import type { MapShape, Network } from '../nn/module.js'
import { networkByName } from '../nn/networks/registry.js'

const headNames = ['fc.weight', 'fc.bias']

export interface Backbone {
  /** Its `apply` gives the representation as `embedding`; its logits mean nothing. */
  readonly network: Network
  /** Elements of a representation. */
  readonly dim: number
}

/** The network of a registry name for images [H, W, C], without the parameters of `fc`. Throws `not_found`, `invalid_option`. */
export function backboneOf(name: string, image: MapShape): Backbone {
  const whole = networkByName(name, image, 1)
  const head = whole.parameters.find((parameter) => parameter.name === headNames[0])
  if (!head) throw new AludelError('invalid_option', `network '${name}' has no last layer 'fc' that could be left out`)
  const [dim] = head.shape
  const network: Network = {
    ...whole,
    parameters: whole.parameters.filter((parameter) => !headNames.includes(parameter.name)),
    apply(parameters, x, options) {
      const [groups] = x.shape
      const nothing = { 'fc.weight': full([groups, dim, 1], 0), 'fc.bias': full([groups, 1], 0) }
      return whole.apply({ ...parameters, ...nothing }, x, options)
    },
  }
  return { network, dim }
}
