/** @file ATOM (2405.01373) on CIFAR-10, 10 images per class. The figure is from memory: the paper was not at hand. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar10', zca: true },
  distill: { method: 'atom', preset: 'default', ipc: 10 },
  evaluate: { networks: ['convnet'], repeats: 10, epochs: 1800 },
  reported: { accuracy: 57.9, source: 'recalled, unverified' },
}
