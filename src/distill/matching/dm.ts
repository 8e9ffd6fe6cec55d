/** @file Distribution matching (DM, 2110.04181): class-wise mean embeddings under a fresh random network in every step. */
import { defineMethod } from '../method.js'
import { classMeanDistance, embeddingRows } from './class-means.js'

type NoOptions = Readonly<Record<never, never>>

export const dm = defineMethod<NoOptions>({
  name: 'dm',
  doc: 'Distribution matching: class-wise mean embeddings under random networks (2110.04181)',
  presets: {
    code: {
      doc: 'released code; image learning rate 10 above IPC 50, as advised there for CIFAR-10',
      settings: ({ ipc }) => ({
        iterations: 20_000,
        realBatch: 256,
        imageLr: ipc > 50 ? 10 : 1,
        imageMomentum: 0.5,
        init: 'real',
        augment: 'dsa',
        network: 'convnet',
        options: {},
      }),
    },
  },
  options: {},
  // L = sum_c || mean e(real_c) - mean e(syn_c) ||^2
  loss: (context) => classMeanDistance(context)(embeddingRows),
})
