/** @file The baseline beside every result: random real images, as many per class, under the same protocol. */
import type { Dataset } from '../data/dataset.js'
import { normalizeImages } from '../data/normalize.js'
import { createSampler } from '../data/sampler.js'
import { fold, keyOf, purpose } from '../engine/tensor/key.js'
import { expected } from '../errors.js'
import { createSyntheticSet } from '../experiment/synthetic-set.js'
import type { SyntheticSet } from '../experiment/types.js'

/** `ipc` random real images of each class as a set, drawn by `seed` alone. Throws `invalid_option` when a class has fewer. */
export function randomRealSet(train: Dataset, ipc: number, seed: number): SyntheticSet {
  for (const [c, name] of train.classes.entries()) {
    const available = train.classIndices(c).length
    if (available < ipc)
      throw expected('invalid_option', `class '${name}'`, `at least ${ipc} images for ipc ${ipc}`, available, 'lower ipc')
  }
  const [low, high] = fold(keyOf(seed), 'random-real')
  const sourceIds = createSampler({
    dataset: train,
    perClass: ipc,
    seed: (BigInt(high) << 32n) | BigInt(low),
    purpose: purpose.realBatch,
  }).draw(0)
  const [, height, width, channels] = train.shape
  return createSyntheticSet({
    images: normalizeImages(train.subset(sourceIds).images, train),
    shape: [sourceIds.length, height, width, channels],
    labels: Int32Array.from(sourceIds, (row) => train.labels[row]),
    classes: train.classes,
    mean: train.mean,
    std: train.std,
    flip: train.flip,
    source: { name: train.name, split: train.split, sha256: train.sha256 },
    config: { method: 'random-real', ipc, seed, data: train.name, dataSha256: train.sha256 },
    sourceIds,
  })
}
