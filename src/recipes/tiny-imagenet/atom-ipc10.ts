/** @file ATOM (2405.01373) on Tiny ImageNet, 10 images per class. The figure is from memory: the paper was not at hand. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'tiny-imagenet' },
  distill: { method: 'atom', preset: 'default', ipc: 10 },
  evaluate: { networks: ['convnet'], repeats: 10, epochs: 1800 },
  reported: { accuracy: 19.5, source: 'recalled, unverified' },
}
