/** @file DATM (2310.05773) on CIFAR-100, 10 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar100', zca: true },
  distill: { method: 'datm', preset: 'yaml', ipc: 10 },
  evaluate: { networks: ['convnet'], repeats: 5, protocol: 'trajectory' },
  reported: { accuracy: 47.2, spread: 0.4, source: 'PAD, 2408.03360, table 1' },
}
