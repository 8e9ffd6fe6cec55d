/** @file DC (2006.05929) on Fashion-MNIST, 50 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'fashion-mnist' },
  distill: { method: 'dc', preset: 'code', ipc: 50 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 300, augment: 'none' },
  reported: { accuracy: 83.6, source: "released code's readme" },
}
