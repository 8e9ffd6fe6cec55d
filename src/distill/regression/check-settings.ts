/** @file Settings that a method of kernel ridge regression has no use for: refused before anything runs. */
import { AludelError } from '../../errors.js'
import type { DistillSettings } from '../../experiment/types.js'
import type { Method } from '../method.js'

/** Throws `invalid_option` for an augmentation, and for a network where the kernel has none. */
export function checkRegression({ name }: Method, { augment, network }: Pick<DistillSettings, 'augment' | 'network'>): void {
  if (augment !== undefined && augment !== 'none') {
    const todo = 'leave it out; evaluate augments'
    throw new AludelError('invalid_option', `augment: ${name} answers images as they are, so '${augment}' would be left out: ${todo}`)
  }
  if (network !== undefined && name === 'kip') {
    const todo = 'leave it out; depth, weightVariance and biasVariance (--set) describe the network'
    throw new AludelError('invalid_option', `network: kip has the kernel of an infinitely wide one: ${todo}`)
  }
}
