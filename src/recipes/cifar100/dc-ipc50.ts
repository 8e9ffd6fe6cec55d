/** @file DC (2006.05929) on CIFAR-100, 50 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar100' },
  distill: { method: 'dc', preset: 'code', ipc: 50 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 300, augment: 'none' },
  reported: { accuracy: 30.6, spread: 0.6, source: 'DataDAM, ICCV 2023, table 1' },
}
