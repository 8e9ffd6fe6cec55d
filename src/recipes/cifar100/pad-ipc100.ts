/** @file PAD (2408.03360) on CIFAR-100, 100 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar100', zca: true },
  distill: { method: 'pad', preset: 'paper', ipc: 100 },
  evaluate: { networks: ['convnet'], repeats: 5, protocol: 'trajectory' },
  reported: { accuracy: 58.5, spread: 0.3, source: 'PAD, 2408.03360, table 1' },
}
