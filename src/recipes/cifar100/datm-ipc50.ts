/** @file DATM (2310.05773) on CIFAR-100, 50 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar100', zca: true },
  distill: { method: 'datm', preset: 'yaml', ipc: 50 },
  evaluate: { networks: ['convnet'], repeats: 5, protocol: 'trajectory' },
  reported: { accuracy: 55, spread: 0.2, source: 'PAD, 2408.03360, table 1' },
}
