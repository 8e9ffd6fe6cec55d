/** @file Distribution matching (DM, 2110.04181): class-wise mean embeddings under a fresh random network in every step. */
import { reshape, squaredNorm, sub } from '../../engine/index.js'
import { initialize } from '../../nn/module.js'
import { type ClassBatch, defineMethod } from '../method.js'
import { classMeans } from './class-means.js'

export const dm = defineMethod({
  name: 'dm',
  doc: 'Distribution matching: class-wise mean embeddings under random networks (2110.04181)',
  // Released code: image lr 1 up to IPC 50, 10 above.
  defaults: (ipc) => ({ iterations: 20_000, realBatch: 256, imageLr: ipc > 50 ? 10 : 1, imageMomentum: 0.5, init: 'real', augment: 'dsa' }),
  loss({ network, key, step, classes, real, synthetic }) {
    const parameters = initialize(network, { key, counter: step })
    // Real and synthetic images pass separately: with batch norm each side has its own statistics.
    const mean = (batch: ClassBatch) => {
      const { embedding } = network.apply(parameters, batch.images)
      return classMeans(reshape(embedding, [embedding.shape[1], embedding.shape[2]]), batch, classes)
    }
    // L = sum_c || mean e(real_c) - mean e(syn_c) ||^2, over all entries of the [classes, D] difference.
    return squaredNorm(sub(mean(real), mean(synthetic)))
  },
})
