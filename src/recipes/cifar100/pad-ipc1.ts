/** @file PAD (2408.03360) on CIFAR-100, 1 image per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar100', zca: true },
  distill: { method: 'pad', preset: 'paper', ipc: 1 },
  evaluate: { networks: ['convnet'], repeats: 5, protocol: 'trajectory' },
  reported: { accuracy: 28.4, spread: 0.5, source: 'PAD, 2408.03360, table 1' },
}
