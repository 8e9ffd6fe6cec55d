/** @file FTD (2211.11004) on Tiny ImageNet, 10 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'tiny-imagenet', zca: true },
  distill: { method: 'ftd', preset: 'paper', ipc: 10 },
  evaluate: { networks: ['convnet'], repeats: 5, protocol: 'trajectory' },
  reported: { accuracy: 24.5, source: 'FTD, 2211.11004, table 1, of the averaged images' },
}
