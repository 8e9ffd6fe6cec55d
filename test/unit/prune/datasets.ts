/** @file Data sets of one-pixel images. */
import { createDataset, type Dataset } from '../../../src/data/index.js'

export const datasetOf = (
  labels: readonly number[],
  changes: { readonly pixel?: number; readonly classes?: readonly string[] } = {},
): Dataset =>
  createDataset({
    name: 'dots',
    split: 'train',
    classes: changes.classes ?? Array.from({ length: Math.max(...labels) + 1 }, (_, c) => `class ${c}`),
    images: Uint8Array.from(labels, (_, i) => (i + (changes.pixel ?? 0)) % 256),
    shape: [labels.length, 1, 1, 1],
    labels,
    mean: [0.5],
    std: [0.25],
    flip: false,
  })
