/** @file DATM (2310.05773) on Tiny ImageNet, 10 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'tiny-imagenet', zca: true },
  distill: { method: 'datm', preset: 'yaml', ipc: 10 },
  evaluate: { networks: ['convnet'], repeats: 5, protocol: 'trajectory' },
  reported: { accuracy: 31.1, spread: 0.3, source: 'PAD, 2408.03360, table 1' },
}
