/** @file Settings and data that a method of kernel ridge regression has no use for: refused before anything runs. */
import type { Dataset } from '../../data/dataset.js'
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

/** Throws `invalid_data` for images of one class: its centred labels are zero, and so are the loss and every gradient. */
export function checkSeveralClasses({ name }: Method, dataset: Pick<Dataset, 'name' | 'classes' | 'classIndices'>): void {
  const present = dataset.classes.filter((_, c) => dataset.classIndices(c).length > 0).length
  if (present > 1) return
  const todo = `${name} would have nothing to tell apart; krr-st distils without classes`
  throw expected('invalid_data', `data set '${dataset.name}'`, 'images of at least two classes', present, todo)
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
