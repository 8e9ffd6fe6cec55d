/** @file Preprocessing of whole data sets: ZCA whitening. */
export { type WhitenOptions, whiten } from './whiten.js'
export { readWhitening } from './whitening-file.js'
export { fitZca, type ZcaOptions } from './zca.js'
