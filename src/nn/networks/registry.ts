/** @file Networks by name, as options and commands spell them. */
import { AludelError } from '../../errors.js'
import type { Network } from '../module.js'
import { convNet } from './conv-net.js'

type Build = (input: readonly [number, number, number], classes: number) => Network

const networks: Readonly<Record<string, Build>> = {
  convnet: (input, classes) => convNet({ input, classes }),
  'convnet-bn': (input, classes) => convNet({ input, classes, norm: 'batch' }),
}

export const networkNames = Object.keys(networks)

/** A network by its registry name for images [H, W, C]. Throws `not_found` with the known names. */
export function networkByName(name: string, input: readonly [number, number, number], classes: number): Network {
  if (!Object.hasOwn(networks, name)) {
    throw new AludelError('not_found', `network: expected one of ${networkNames.join(', ')} but received '${name}'`)
  }
  return networks[name](input, classes)
}
