/** @file DM (2110.04181) on CIFAR-10, 10 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar10' },
  distill: { method: 'dm', preset: 'code', ipc: 10 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 1000 },
  reported: { accuracy: 48.9, spread: 0.6, source: 'PAD, 2408.03360, table 1' },
}
