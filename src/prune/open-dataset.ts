/** @file Data sets by text, with the subset that the text may name: every stage that opens it sees the same rows. */
import type { Dataset, Split } from '../data/dataset.js'
import { type OpenOptions, openDataset as openWhole } from '../data/open.js'
import { formatSpecification, parseSpecification } from '../data/specification.js'
import { openSubset, readSubset } from './subset.js'

/**
 * Opens 'cifar10:DIR', 'folder:DIR,size=64', 'fashion-mnist' (bundled) and so on; `datasetNames` lists the names. With `,subset=FILE` the
 * training images are those that a file of `writeSubset` keeps; test images are all there are.
 * Throws `invalid_option`, `not_found`, `invalid_data`, `io`, and `incompatible` for a subset of other data.
 */
export async function openDataset(specification: string, split: Split = 'train', options: OpenOptions = {}): Promise<Dataset> {
  const { options: given, ...rest } = parseSpecification(specification)
  const { subset, ...others } = given
  const whole = await openWhole(formatSpecification({ ...rest, options: others }), split, options)
  return subset === undefined || split !== 'train' ? whole : openSubset(whole, await readSubset(subset))
}
