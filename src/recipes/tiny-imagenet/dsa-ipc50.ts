/** @file DSA (2102.08259) on Tiny ImageNet, 50 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'tiny-imagenet' },
  distill: { method: 'dsa', preset: 'code', ipc: 50 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 1000 },
  reported: { accuracy: 5.1, spread: 0.2, source: 'DataDAM, ICCV 2023, table 1' },
}
