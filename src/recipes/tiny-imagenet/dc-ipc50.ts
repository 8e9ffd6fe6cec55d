/** @file DC (2006.05929) on Tiny ImageNet, 50 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'tiny-imagenet' },
  distill: { method: 'dc', preset: 'code', ipc: 50 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 300, augment: 'none' },
  reported: { accuracy: 12.7, spread: 0.4, source: 'DataDAM, ICCV 2023, table 1' },
}
