/** @file Dataset condensation with gradient matching (DC, 2006.05929). */
import { gradientMethod } from './gradient-method.js'

export const dc = gradientMethod('dc', 'Gradient matching, class by class, along the training of random networks (2006.05929)', {
  init: 'noise',
  augment: 'none',
})
