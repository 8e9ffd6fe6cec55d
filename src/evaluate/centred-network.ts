/** @file Networks that answer with what training has changed, f(x) - f0(x) (RFAD, 2210.12067): the tensors of the start stand in their state. */
import { sub } from '../engine/index.js'
import type { Network, Parameters } from '../nn/module.js'
import type { Protocol } from './protocol.js'
import type { NetworkArrays } from './trainer.js'

/** The name in the state of what a tensor was at the start. */
export const startName = (name: string): string => `start:${name}`

/** A network as the protocol trains and tests it. */
export const networkUnder = ({ labelScale }: Pick<Protocol, 'labelScale'>, network: Network): Network =>
  labelScale === undefined ? network : centredNetwork(network)

/** f0 is in eval mode always: what an image is answered by does not depend on its neighbours. */
export function centredNetwork(network: Network): Network {
  const starts = [...network.parameters, ...network.state]
  return {
    ...network,
    state: [...network.state, ...starts.map(({ name, shape }) => ({ name: startName(name), shape, initial: 0 }))],
    apply(parameters, x, options = {}) {
      const { state = {}, mode = 'train' } = options
      const startOf = (list: readonly { readonly name: string }[]): Parameters =>
        Object.fromEntries(list.map(({ name }) => [name, state[startName(name)]]))
      const applied = network.apply(parameters, x, options)
      const start = network.apply(startOf(network.parameters), x, { mode: 'eval', state: startOf(network.state) })
      const kept = mode === 'train' ? Object.fromEntries(starts.map(({ name }) => [startName(name), state[startName(name)]])) : {}
      return { ...applied, logits: sub(applied.logits, start.logits), state: { ...applied.state, ...kept } }
    },
  }
}

/** Makes the tensors as they are those of the start. */
export async function keepStart({ parameters, state }: NetworkArrays): Promise<void> {
  const named = Object.entries({ ...parameters, ...state })
  await Promise.all(named.map(([name, array]) => state[startName(name)]?.copyFrom(array)))
}
