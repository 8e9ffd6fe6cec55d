/** @file ATOM (2405.01373) on CIFAR-100, 50 images per class. The figure is from memory: the paper was not at hand. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar100', zca: true },
  distill: { method: 'atom', preset: 'default', ipc: 50 },
  evaluate: { networks: ['convnet'], repeats: 10, epochs: 1800 },
  reported: { accuracy: 50.2, source: 'recalled, unverified' },
}
