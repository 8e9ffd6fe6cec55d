/** @file DSA (2102.08259) on Tiny ImageNet, 10 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'tiny-imagenet' },
  distill: { method: 'dsa', preset: 'code', ipc: 10 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 1000 },
  reported: { accuracy: 16.3, spread: 0.2, source: 'DataDAM, ICCV 2023, table 1' },
}
