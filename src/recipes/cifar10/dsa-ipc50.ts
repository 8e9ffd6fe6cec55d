/** @file DSA (2102.08259) on CIFAR-10, 50 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar10' },
  distill: { method: 'dsa', preset: 'code', ipc: 50 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 1000 },
  reported: { accuracy: 60.6, source: "released code's readme" },
}
