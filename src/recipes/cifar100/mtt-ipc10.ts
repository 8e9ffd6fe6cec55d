/** @file MTT (2203.11932) on CIFAR-100, 10 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar100' },
  distill: { method: 'mtt', preset: 'paper', ipc: 10 },
  evaluate: { networks: ['convnet'], repeats: 5, protocol: 'trajectory' },
  reported: { accuracy: 39.7, spread: 0.4, source: 'PAD, 2408.03360, table 1' },
}
