/** @file DC (2006.05929) on MNIST, 10 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'mnist' },
  distill: { method: 'dc', preset: 'code', ipc: 10 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 300, augment: 'none' },
  reported: { accuracy: 97.4, source: "released code's readme" },
}
