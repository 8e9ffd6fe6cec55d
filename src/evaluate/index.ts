/** @file Evaluation of synthetic sets. */
export { evaluate } from './evaluate.js'
export { randomRealSet } from './random-real.js'
