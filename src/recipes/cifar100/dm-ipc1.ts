/** @file DM (2110.04181) on CIFAR-100, 1 image per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar100' },
  distill: { method: 'dm', preset: 'code', ipc: 1 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 1000 },
  reported: { accuracy: 11.4, spread: 0.3, source: 'PAD, 2408.03360, table 1' },
}
