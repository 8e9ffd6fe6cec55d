/** @file ATOM (2405.01373) on CIFAR-10, 1 image per class. The figure is from memory: the paper was not at hand. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar10', zca: true },
  distill: { method: 'atom', preset: 'default', ipc: 1 },
  evaluate: { networks: ['convnet'], repeats: 10, epochs: 1800 },
  reported: { accuracy: 34.8, source: 'recalled, unverified' },
}
