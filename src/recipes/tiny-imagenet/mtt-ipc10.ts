/** @file MTT (2203.11932) on Tiny ImageNet, 10 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'tiny-imagenet' },
  distill: { method: 'mtt', preset: 'paper', ipc: 10 },
  evaluate: { networks: ['convnet'], repeats: 5, protocol: 'trajectory' },
  reported: { accuracy: 23.2, spread: 0.2, source: 'PAD, 2408.03360, table 1' },
}
