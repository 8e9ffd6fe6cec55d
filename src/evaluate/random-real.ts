/** @file The baseline beside every result: random real images, as many per class, under the same protocol. */
import { checkSeed, wholeNumber } from '../arguments.js'
import { asDataset, type Dataset, type DatasetInput } from '../data/dataset.js'
import { createSampler } from '../data/sampler.js'
import { fold, keyOf, purpose } from '../engine/tensor/key.js'
import type { SyntheticSet } from '../experiment/types.js'
import { checkClassSizes, realSet } from './real-set.js'

/** `ipc` random real images of each class as a set: draw number `draw` of `seed`. Throws `invalid_option` when a class has fewer. */
export function randomRealSet(data: Dataset | DatasetInput, ipc: number, seed: number, draw = 0): SyntheticSet {
  const train = asDataset(data)
  checkClassSizes(train, ipc)
  const [low, high] = fold(keyOf(checkSeed('seed', seed)), 'random-real')
  const sampler = createSampler({
    dataset: train,
    perClass: ipc,
    seed: (BigInt(high) << 32n) | BigInt(low),
    purpose: purpose.realBatch,
  })
  return realSet(train, sampler.draw(wholeNumber('draw', draw, 0)), { method: 'random-real', ipc, seed, draw })
}
