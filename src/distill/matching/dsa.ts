/** @file Gradient matching under differentiable siamese augmentation (DSA, 2102.08259): DC, augmented, from real images. */
import { gradientMethod } from './gradient-method.js'

export const dsa = gradientMethod('dsa', 'DC with the same random augmentation of real and synthetic images (2102.08259)', {
  init: 'real',
  augment: 'dsa',
})
