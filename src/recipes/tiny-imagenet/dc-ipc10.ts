/** @file DC (2006.05929) on Tiny ImageNet, 10 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'tiny-imagenet' },
  distill: { method: 'dc', preset: 'code', ipc: 10 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 300, augment: 'none' },
  reported: { accuracy: 12.9, spread: 0.1, source: 'DataDAM, ICCV 2023, table 1' },
}
