/** @file DM (2110.04181) on Tiny ImageNet, 1 image per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'tiny-imagenet' },
  distill: { method: 'dm', preset: 'code', ipc: 1 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 1000 },
  reported: { accuracy: 3.9, spread: 0.2, source: 'PAD, 2408.03360, table 1' },
}
