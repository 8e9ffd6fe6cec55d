/** @file Whitening as it would be: a data set that stands for the whitened one, and what fitting and applying hold. */
import { type Dataset, whitenedDataset } from '../data/dataset.js'
import type { Whitening, ZcaOrder } from '../data/whitening.js'
import type { Device } from '../engine/runtime/device.js'
import { gramProgram, gramRows, productProgram, whitenedRows, whitenProgram } from '../preprocess/index.js'
import type { Phase } from './phases.js'
import { PlanningDevice } from './planning-device.js'

export interface PlannedZca {
  /** Default 'raw'. */
  readonly order?: ZcaOrder
  /** Added to every eigenvalue; default 0.1. */
  readonly eps?: number
}

/**
 * `dataset` with the type of whitened pixels but none in memory: enough to plan by, and for nothing else. `sha256` is what the whitening is
 * taken to be, where something else was made with it.
 */
export function asIfWhitened(dataset: Dataset, { order = 'raw', eps = 0.1 }: PlannedZca, sha256 = ''): Dataset {
  const none = new Float32Array(0)
  const [, h, w, c] = dataset.shape
  const channels =
    order === 'raw' ? { mean: new Array<number>(c).fill(0), std: new Array<number>(c).fill(1) } : { mean: dataset.mean, std: dataset.std }
  const source = { name: dataset.name, sha256: dataset.sha256 }
  const whitening: Whitening = { order, eps, image: [h, w, c], channels, mean: none, transform: none, inverse: none, source, sha256 }
  return whitenedDataset(dataset, whitening, none)
}

/**
 * Fitting the whitening to `train` and applying it to `sets`: arrays of whichever holds more, and operations of both. The eigendecomposition
 * of d x d numbers counts 9 d^3 operations.
 */
export function whiteningPhase(train: Dataset, sets: readonly Dataset[], target: Device): Phase {
  const [n, h, w, c] = train.shape
  const d = h * w * c
  const square = d * d
  const planned = new PlanningDevice(target)
  // the code that is planned reads no more of a device than this class has
  const device = planned as unknown as Device
  const rows = Math.min(gramRows, n)
  gramProgram(device, train.shape, rows, Math.ceil(n / rows))
  productProgram(device, d)
  for (const { shape } of sets) whitenProgram(device, shape)
  const pixels = (set: Dataset) => set.shape[0] * d
  // f64: sums of products, covariance with its eigenvectors; f32: one matrix on its way out
  const decomposing = square * (8 + 8 + 4)
  const summing = n * d + square * 8
  const applying = Math.max(...sets.map(pixels)) + 4 * (square + whitenedRows * d)
  const { constants, workspace } = planned.bytes
  return {
    name: 'whiten',
    bytes: { arrays: Math.max(decomposing, summing, applying), constants, workspace },
    flops: 2 * n * square + 13 * square * d + sets.reduce((sum, set) => sum + 2 * pixels(set) * d, 0),
    steps: 1,
  }
}
