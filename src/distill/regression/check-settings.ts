/** @file Settings that a method of kernel ridge regression has no use for: refused before anything runs. */
import { AludelError, expected } from '../../errors.js'
import type { DistillSettings } from '../../experiment/types.js'
import type { Method } from '../method.js'
import type { MethodOptions } from '../method-options.js'

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

/** Images that labels are solved for at most: the decomposition takes time as their cube, and 8 n² bytes several times over. */
const mostSolved = 8192

/**
 * Steps after which labels that are solved for have seen every real image, and there are no more; undefined where none are solved for.
 * Throws `invalid_option` for a learning rate that nothing moves by, `out_of_memory` for too many images.
 */
export function solveSteps(
  method: Method,
  options: MethodOptions,
  { images, n, realBatch }: { readonly images: number; readonly n: number; readonly realBatch: number },
  { imageLr }: Pick<DistillSettings, 'imageLr'>,
): number | undefined {
  if (!('regression' in method) || !method.regression(options).solved) return undefined
  if (n > mostSolved)
    throw expected('out_of_memory', `${method.name}: images whose labels are solved for`, `at most ${mostSolved}`, n, 'lower ipc')
  if (imageLr !== undefined) {
    const todo = "leave it out, or take labels 'learned'"
    throw new AludelError('invalid_option', `imageLr: ${method.name} solves for the labels of images that stay as they are: ${todo}`)
  }
  return Math.ceil(images / realBatch)
}
