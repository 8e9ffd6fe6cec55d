/** @file Real images as a set: what baselines train on. */
import { wholeNumber } from '../arguments.js'
import { type Dataset, rowsOfWhole } from '../data/dataset.js'
import { checkLabelled } from '../data/labels.js'
import { expected } from '../errors.js'
import { createSyntheticSet } from '../experiment/synthetic-set.js'
import type { RunConfig, SyntheticSet } from '../experiment/types.js'
import { networkPixels } from '../preprocess/row-source.js'

/** The given rows of `train`, class-major, as a set that says where it comes from. */
export function realSet(train: Dataset, rows: Int32Array, config: RunConfig): SyntheticSet {
  const [, height, width, channels] = train.shape
  return createSyntheticSet({
    images: networkPixels(train.subset(rows)),
    shape: [rows.length, height, width, channels],
    labels: Int32Array.from(rows, (row) => train.labels[row]),
    classes: train.classes,
    mean: train.mean,
    std: train.std,
    flip: train.flip,
    source: { name: train.name, split: train.split, sha256: train.part?.of ?? train.sha256 },
    config: { ...config, data: train.name, dataSha256: train.sha256, ...(train.part && { subsetSha256: train.part.subset }) },
    sourceIds: rowsOfWhole(train, rows),
    ...(train.whitened && { whitening: train.whitened.whitening }),
  })
}

/** Throws `invalid_option` when `ipc` is no whole number >= 1, or a class has fewer images, `invalid_data` without labels. */
export function checkClassSizes(train: Dataset, ipc: number): void {
  wholeNumber('ipc', ipc)
  checkLabelled('a coreset by class', train)
  for (const [c, name] of train.classes.entries()) {
    const available = train.classIndices(c).length
    if (available < ipc)
      throw expected('invalid_option', `class '${name}'`, `at least ${ipc} images for ipc ${ipc}`, available, 'lower ipc')
  }
}
