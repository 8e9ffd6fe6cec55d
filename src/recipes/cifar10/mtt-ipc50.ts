/** @file MTT (2203.11932) on CIFAR-10, 50 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar10' },
  distill: { method: 'mtt', preset: 'paper', ipc: 50 },
  evaluate: { networks: ['convnet'], repeats: 5, protocol: 'trajectory' },
  reported: { accuracy: 71.6, spread: 0.2, source: 'PAD, 2408.03360, table 1' },
}
