/** @file DataDAM (2310.00093) on CIFAR-10, 50 images per class. The preset is that of the released code, which the figure comes from. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar10' },
  distill: { method: 'datadam', preset: 'code', ipc: 50 },
  evaluate: { networks: ['convnet-bn'], repeats: 10, epochs: 1800 },
  reported: { accuracy: 67, spread: 0.4, source: 'DataDAM, ICCV 2023, table 1' },
}
