/** @file DSA (2102.08259) on CIFAR-100, 1 image per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar100' },
  distill: { method: 'dsa', preset: 'code', ipc: 1 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 1000 },
  reported: { accuracy: 13.9, source: "released code's readme" },
}
