/** @file FTD (2211.11004) on CIFAR-10, 1 image per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar10', zca: true },
  distill: { method: 'ftd', preset: 'paper', ipc: 1 },
  evaluate: { networks: ['convnet'], repeats: 5, protocol: 'trajectory' },
  reported: { accuracy: 46.8, source: 'FTD, 2211.11004, table 1, of the averaged images' },
}
