/** @file DC (2006.05929) on Tiny ImageNet, 1 image per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'tiny-imagenet' },
  distill: { method: 'dc', preset: 'code', ipc: 1 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 300, augment: 'none' },
  reported: { accuracy: 5.3, spread: 0.1, source: 'DataDAM, ICCV 2023, table 1' },
}
