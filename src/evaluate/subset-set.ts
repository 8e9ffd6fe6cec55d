/** @file A subset of the real images as what networks train on: "coreset only". */
import { asDataset, type Dataset, type DatasetInput } from '../data/dataset.js'
import { checkLabelled } from '../data/labels.js'
import { expected } from '../errors.js'
import type { SyntheticSet } from '../experiment/types.js'
import { realSet } from './real-set.js'

/** All images of `data`, such as a data set opened with a subset, as a set. Throws `invalid_option` when a class has none. */
export function subsetSet(data: Dataset | DatasetInput): SyntheticSet {
  const train = asDataset(data)
  checkLabelled('subsetSet', train)
  const rows = train.classes.flatMap((name, c) => {
    const members = [...train.classIndices(c)]
    if (members.length === 0) throw expected('invalid_option', `class '${name}'`, 'at least one image in the subset', 'none')
    return members
  })
  return realSet(train, Int32Array.from(rows), { method: 'subset', images: rows.length })
}
