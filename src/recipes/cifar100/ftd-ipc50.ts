/** @file FTD (2211.11004) on CIFAR-100, 50 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar100', zca: true },
  distill: { method: 'ftd', preset: 'paper', ipc: 50 },
  evaluate: { networks: ['convnet'], repeats: 5, protocol: 'trajectory' },
  reported: { accuracy: 50.7, source: 'FTD, 2211.11004, table 1, of the averaged images' },
}
