/** @file DC (2006.05929) on CIFAR-100, 10 images per class. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar100' },
  distill: { method: 'dc', preset: 'code', ipc: 10 },
  evaluate: { networks: ['convnet'], repeats: 20, epochs: 300, augment: 'none' },
  reported: { accuracy: 25.2, source: "released code's readme" },
}
