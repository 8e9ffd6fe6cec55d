/** @file PAD (2408.03360) on Tiny ImageNet, 50 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'tiny-imagenet', zca: true },
  distill: { method: 'pad', preset: 'paper', ipc: 50 },
  evaluate: { networks: ['convnet'], repeats: 5, protocol: 'trajectory' },
  reported: { accuracy: 41.6, spread: 0.4, source: 'PAD, 2408.03360, table 1' },
}
