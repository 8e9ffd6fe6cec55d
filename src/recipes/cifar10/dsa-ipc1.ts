/** @file DSA (2102.08259) on CIFAR-10, 1 image per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar10' },
  distill: { method: 'dsa', preset: 'code', ipc: 1 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 1000 },
  reported: { accuracy: 28.8, source: "released code's readme" },
}
