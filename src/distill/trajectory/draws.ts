/** @file What an iteration of trajectory matching draws: expert, start epoch, minibatches and augmentation, all functions of (seed, iteration). */
import { type AugmentPolicy, drawBatch, thetaSize } from '../../augment/dsa.js'
import { fold, type Key, purpose } from '../../engine/tensor/key.js'
import { permutation, uniform } from '../../engine/tensor/philox.js'
import { Turn } from '../../event-loop.js'

/** The expert of an iteration: all in a random order, then all in another. */
export function expertAt(key: Key, iteration: number, experts: readonly number[]): number {
  const round = Math.floor(iteration / experts.length)
  return experts[permutation(fold(key, 'expert-order'), round, purpose.expert, experts.length)[iteration % experts.length]]
}

/** A start epoch, uniform in [min, bound). */
export function startEpochAt(key: Key, iteration: number, min: number, bound: number): number {
  const [u] = uniform(fold(key, 'start-epoch'), iteration, purpose.expert, 1)
  return min + Math.floor(u * (bound - min))
}

/** Sizes of an iteration's minibatches. */
export interface MinibatchShape {
  /** Steps, N. */
  readonly innerSteps: number
  /** Synthetic images, M. */
  readonly images: number
  readonly batch: number
  readonly padded: boolean
}

/** Rows of each step, N x batch, as they are uploaded. */
export interface MinibatchRows {
  readonly index: Int32Array
  readonly weights?: Float32Array
}

/**
 * Minibatches of all steps: a random order of the images is cut into chunks of `batch`, which are used from the last, possibly short one,
 * to the first; then a new order. Every iteration begins anew. Places beyond a short chunk hold its first row with weight 0.
 */
export async function minibatchesAt(key: Key, iteration: number, shape: MinibatchShape): Promise<MinibatchRows> {
  const { innerSteps, images, batch, padded } = shape
  const own = fold(key, 'minibatches', iteration)
  const chunks = Math.ceil(images / batch)
  const index = new Int32Array(innerSteps * batch)
  const weights = padded ? new Float32Array(innerSteps * batch) : undefined
  const turn = new Turn()
  let order = new Int32Array()
  for (let step = 0; step < innerSteps; step++) {
    const used = step % chunks
    if (used === 0) {
      await turn.breathe()
      order = Int32Array.from(permutation(own, step / chunks, purpose.syntheticBatch, images))
    }
    const first = (chunks - 1 - used) * batch
    const rows = order.subarray(first, first + batch)
    index.set(rows, step * batch)
    index.fill(rows[0], step * batch + rows.length, (step + 1) * batch)
    weights?.fill(1 / rows.length, step * batch, step * batch + rows.length)
  }
  return { index, ...(weights && { weights }) }
}

/** Augmentation of all steps, N x batch x 8: one operation a minibatch, parameters of every image. */
export async function augmentationAt(
  key: Key,
  iteration: number,
  { innerSteps, batch }: MinibatchShape,
  policy: AugmentPolicy,
  [height, width]: readonly number[],
): Promise<Float32Array> {
  const theta = new Float32Array(innerSteps * batch * thetaSize)
  const turn = new Turn()
  for (let step = 0; step < innerSteps; step++) {
    await turn.breathe()
    const address = { key: fold(key, 'augment'), purpose: purpose.augment, step: iteration * innerSteps + step }
    theta.set(drawBatch(policy, address, batch, height, width), step * batch * thetaSize)
  }
  return theta
}
