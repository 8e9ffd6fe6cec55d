/** @file DM (2110.04181) on CIFAR-10, 50 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar10' },
  distill: { method: 'dm', preset: 'code', ipc: 50 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 1000 },
  reported: { accuracy: 63, spread: 0.4, source: 'PAD, 2408.03360, table 1' },
}
