/** @file Forty images of noise in two classes, of which the second has fewer images than a batch of the tests: enough for steps whose numbers are compared. */
import { createDataset } from '../src/data/index.js'

const rows = 40
export const noiseSide = 8

export const noiseDataset = createDataset({
  name: 'noise',
  split: 'train',
  classes: ['a', 'b'],
  images: Uint8Array.from({ length: rows * noiseSide * noiseSide * 3 }, (_, i) => (i * i * 7919 + i * 31) % 251),
  shape: [rows, noiseSide, noiseSide, 3],
  labels: Int32Array.from({ length: rows }, (_, i) => (i % 7 === 0 ? 1 : 0)),
  mean: [0.5, 0.5, 0.5],
  std: [0.25, 0.25, 0.25],
  flip: true,
})
