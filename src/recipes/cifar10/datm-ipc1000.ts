/** @file DATM (2310.05773) on CIFAR-10, 1000 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar10', zca: true },
  distill: { method: 'datm', preset: 'yaml', ipc: 1000 },
  evaluate: { networks: ['convnet'], repeats: 5, protocol: 'trajectory' },
  reported: { accuracy: 85.5, spread: 0.4, source: 'PAD, 2408.03360, table 1' },
}
