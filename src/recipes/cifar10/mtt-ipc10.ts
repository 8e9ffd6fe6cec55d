/** @file MTT (2203.11932) on CIFAR-10, 10 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar10', zca: true },
  distill: { method: 'mtt', preset: 'paper', ipc: 10 },
  evaluate: { networks: ['convnet'], repeats: 5, protocol: 'trajectory' },
  reported: { accuracy: 65.4, spread: 0.7, source: 'PAD, 2408.03360, table 1' },
}
