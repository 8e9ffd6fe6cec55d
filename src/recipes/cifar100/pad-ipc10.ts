/** @file PAD (2408.03360) on CIFAR-100, 10 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar100', zca: true },
  distill: { method: 'pad', preset: 'paper', ipc: 10 },
  evaluate: { networks: ['convnet'], repeats: 5, protocol: 'trajectory' },
  reported: { accuracy: 47.8, spread: 0.2, source: 'PAD, 2408.03360, table 1' },
}
