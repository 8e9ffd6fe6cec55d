/** @file TESLA (2211.10586) on CIFAR-10, 1 image per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar10', zca: true },
  distill: { method: 'tesla', preset: 'paper', ipc: 1 },
  evaluate: { networks: ['convnet'], repeats: 5, protocol: 'trajectory' },
  reported: { accuracy: 48.5, spread: 0.8, source: 'PAD, 2408.03360, table 1' },
}
