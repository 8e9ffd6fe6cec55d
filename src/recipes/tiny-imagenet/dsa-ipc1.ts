/** @file DSA (2102.08259) on Tiny ImageNet, 1 image per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'tiny-imagenet' },
  distill: { method: 'dsa', preset: 'code', ipc: 1 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 1000 },
  reported: { accuracy: 5.7, spread: 0.1, source: 'DataDAM, ICCV 2023, table 1' },
}
