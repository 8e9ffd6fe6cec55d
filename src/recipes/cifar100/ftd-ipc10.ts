/** @file FTD (2211.11004) on CIFAR-100, 10 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar100', zca: true },
  distill: { method: 'ftd', preset: 'paper', ipc: 10 },
  evaluate: { networks: ['convnet'], repeats: 5, protocol: 'trajectory' },
  reported: { accuracy: 43.4, source: 'FTD, 2211.11004, table 1, of the averaged images' },
}
