/** @file DM (2110.04181) on Tiny ImageNet, 50 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'tiny-imagenet' },
  distill: { method: 'dm', preset: 'code', ipc: 50 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 1000 },
  reported: { accuracy: 24.1, spread: 0.3, source: 'PAD, 2408.03360, table 1' },
}
