/** @file MTT (2203.11932) on CIFAR-100, 1 image per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar100', zca: true },
  distill: { method: 'mtt', preset: 'paper', ipc: 1 },
  evaluate: { networks: ['convnet'], repeats: 5, protocol: 'trajectory' },
  reported: { accuracy: 24.3, spread: 0.3, source: 'PAD, 2408.03360, table 1' },
}
