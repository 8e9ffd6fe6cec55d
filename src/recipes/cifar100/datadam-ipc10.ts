/** @file DataDAM (2310.00093) on CIFAR-100, 10 images per class. The preset is that of the released code, which the figure comes from. */
import type { Recipe } from '../schema.js'

export const recipe: Recipe = {
  data: { name: 'cifar100' },
  distill: { method: 'datadam', preset: 'code', ipc: 10 },
  evaluate: { networks: ['convnet-bn'], repeats: 10, epochs: 1800 },
  reported: { accuracy: 34.8, spread: 0.5, source: 'DataDAM, ICCV 2023, table 1' },
}
