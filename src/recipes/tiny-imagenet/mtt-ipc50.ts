/** @file MTT (2203.11932) on Tiny ImageNet, 50 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'tiny-imagenet' },
  distill: { method: 'mtt', preset: 'paper', ipc: 50 },
  evaluate: { networks: ['convnet'], repeats: 5, protocol: 'trajectory' },
  reported: { accuracy: 28, spread: 0.3, source: 'PAD, 2408.03360, table 1' },
}
