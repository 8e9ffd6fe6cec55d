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
  return realSet(train, randomRows(train, ipc, seed, draw), { method: 'random-real', ipc, seed, draw })
}

/** As `randomRealSet`, `sizes[c]` images of class c: the first of those that it would have in a set of more. */
export function randomRealSetOf(train: Dataset, sizes: readonly number[], seed: number, draw: number): SyntheticSet {
  const most = Math.max(...sizes)
  const rows = randomRows(train, most, seed, draw).filter((_, place) => place % most < sizes[Math.floor(place / most)])
  return realSet(train, rows, { method: 'random-real', ipc: most, seed, draw })
}

/** Rows of `ipc` images of each class, class-major; of a class of fewer images all, and its first again and again. */
function randomRows(train: Dataset, ipc: number, seed: number, draw: number): Int32Array {
  const [low, high] = fold(keyOf(checkSeed('seed', seed)), 'random-real')
  const sampler = createSampler({
    dataset: train,
    perClass: ipc,
    seed: (BigInt(high) << 32n) | BigInt(low),
    purpose: purpose.realBatch,
  })
  return sampler.draw(wholeNumber('draw', draw, 0))
}
