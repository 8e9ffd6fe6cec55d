/** @file ATOM (2405.01373) on Tiny ImageNet, 1 image per class. The figure is from memory: the paper was not at hand. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'tiny-imagenet' },
  distill: { method: 'atom', preset: 'default', ipc: 1 },
  evaluate: { networks: ['convnet'], repeats: 10, epochs: 1800 },
  reported: { accuracy: 9.1, source: 'recalled, unverified' },
}
