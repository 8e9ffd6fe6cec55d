/** @file DSA (2102.08259) on MNIST, 1 image per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'mnist' },
  distill: { method: 'dsa', preset: 'code', ipc: 1 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 1000 },
  reported: { accuracy: 88.7, source: "released code's readme" },
}
