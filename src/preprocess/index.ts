/** @file Preprocessing of whole data sets: ZCA whitening. */
export { type WhitenOptions, whiten, whitenedRows, whitenProgram } from './whiten.js'
export { readWhitening } from './whitening-file.js'
export { fitZca, gramProgram, gramRows, productProgram, type ZcaOptions } from './zca.js'
