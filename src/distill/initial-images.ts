/** @file Where synthetic images start: random real images of their class, or standard normal noise in normalised space. What experts predict right is chosen elsewhere. */
import type { Dataset } from '../data/dataset.js'
import { createSampler } from '../data/sampler.js'
import { fold, keyOf, purpose } from '../engine/tensor/key.js'
import { normal } from '../engine/tensor/philox.js'
import { networkRows } from '../preprocess/row-source.js'
import type { InitKind } from './method.js'

export interface InitialImages {
  /** As networks see them (normalised, and whitened where the data is), NHWC, class-major: rows c*ipc .. (c+1)*ipc-1 belong to class c. */
  readonly images: Float32Array
  /** Row of the data set behind each image, -1 for noise. */
  readonly sourceIds: Int32Array
  /** Logits of each image's label, [M, classes], where labels are learned. */
  readonly labelLogits?: Float32Array
  /** What the user should know of the start; the run goes on. */
  readonly notices?: readonly string[]
}

/** Real images are drawn of the rows `from`, by default all. */
export async function initialImages(
  dataset: Dataset,
  { ipc, init, seed }: { ipc: number; init: InitKind; seed: number },
  from: Pick<Dataset, 'classes' | 'classIndices'> = dataset,
): Promise<InitialImages> {
  const count = dataset.classes.length * ipc
  const [, height, width, channels] = dataset.shape
  if (init === 'noise') {
    const pixels = normal(fold(keyOf(seed), 'initial-images'), 0, purpose.syntheticInit, count * height * width * channels)
    return { images: new Float32Array(pixels), sourceIds: new Int32Array(count).fill(-1) }
  }
  const sourceIds = createSampler({ dataset: from, perClass: ipc, seed, purpose: purpose.syntheticInit }).draw(0)
  return { images: await networkRows(dataset, sourceIds), sourceIds }
}
