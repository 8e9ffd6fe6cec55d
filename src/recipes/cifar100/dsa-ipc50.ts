/** @file DSA (2102.08259) on CIFAR-100, 50 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar100' },
  distill: { method: 'dsa', preset: 'code', ipc: 50 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 1000 },
  reported: { accuracy: 42.8, spread: 0.4, source: 'DataDAM, ICCV 2023, table 1' },
}
