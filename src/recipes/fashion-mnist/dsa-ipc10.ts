/** @file DSA (2102.08259) on Fashion-MNIST, 10 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'fashion-mnist' },
  distill: { method: 'dsa', preset: 'code', ipc: 10 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 1000 },
  reported: { accuracy: 84.6, source: "released code's readme" },
}
