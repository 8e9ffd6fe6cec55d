/** @file Replays of ZCA cases: mean, whitening matrix, whitened images and inverse, from images that are not bytes. */
import { symmetricEigen } from '../engine/reference/symmetric-eigen.js'
import type { Device } from '../engine/runtime/device.js'
import { zcaMatrices } from '../preprocess/zca.js'
import { type GoldenCase, readArray } from './case-file.js'
import { type Check, CheckList, listTensor } from './compare.js'
import type { GoldenEngine } from './engines.js'
import { fieldAt, numberAt, tensorAt } from './fields.js'

export const isZca = (golden: GoldenCase): boolean => fieldAt(golden, 'case') === 'zca'

/** Mean of the rows of x [n, d], and their covariance with divisor n - 1, [d, d]. */
function moments(x: Float64Array, n: number, d: number): { mean: Float64Array; covariance: Float64Array } {
  const mean = Float64Array.from({ length: d }, (_, j) => {
    let sum = 0
    for (let i = 0; i < n; i++) sum += x[i * d + j]
    return sum / n
  })
  const covariance = new Float64Array(d * d)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < d; j++) {
      const centred = x[i * d + j] - mean[j]
      for (let k = 0; k < d; k++) covariance[j * d + k] += (centred * (x[i * d + k] - mean[k])) / (n - 1)
    }
  }
  return { mean, covariance }
}

type Matrices = readonly [transform: ArrayLike<number>, inverse: ArrayLike<number>]

/** Both matrices in float64, by the reference's own decomposition. */
function referenceMatrices(covariance: Float64Array, d: number, eps: number): Matrices {
  const { values, vectors } = symmetricEigen(covariance, d)
  const [transform, inverse] = [-0.5, 0.5].map((power) => {
    const product = new Float64Array(d * d)
    for (let e = 0; e < d; e++) {
      const factor = (values[e] + eps) ** power
      for (let j = 0; j < d; j++) for (let k = 0; k < d; k++) product[j * d + k] += factor * vectors[e * d + j] * vectors[e * d + k]
    }
    return product
  })
  return [transform, inverse]
}

async function deviceMatrices(device: Device, covariance: Float64Array, d: number, eps: number): Promise<Matrices> {
  const matrix = device.array('f64', [d, d], covariance)
  try {
    const { transform, inverse } = await zcaMatrices(device, matrix, eps)
    return [transform, inverse]
  } finally {
    matrix.dispose()
  }
}

interface Fitted {
  readonly mean: Float64Array
  readonly transform: ArrayLike<number>
  readonly inverse: ArrayLike<number>
  /** Rows of width d, whitened. */
  whiten(x: Float64Array): Float64Array
}

/** The whitening of the rows of x [n, d]. */
async function fitted(x: Float64Array, n: number, eps: number, device: Device | undefined): Promise<Fitted> {
  const d = x.length / n
  const { mean, covariance } = moments(x, n, d)
  const [transform, inverse] = device ? await deviceMatrices(device, covariance, d, eps) : referenceMatrices(covariance, d, eps)
  const whiten = (rows: Float64Array): Float64Array => {
    const whitened = new Float64Array(rows.length)
    for (let at = 0; at < rows.length; at += d) {
      for (let j = 0; j < d; j++) {
        const centred = rows[at + j] - mean[j]
        for (let k = 0; k < d; k++) whitened[at + k] += centred * transform[j * d + k]
      }
    }
    return whitened
  }
  return { mean, transform, inverse, whiten }
}

export async function replayZca(golden: GoldenCase, { name, device }: GoldenEngine): Promise<Check[]> {
  const { shape, data: x } = tensorAt(golden, 4, 'inputs', 'x')
  const d = x.length / shape[0]
  const { mean, transform, inverse, whiten } = await fitted(x, shape[0], numberAt(golden, 'params', 'eps'), device)
  const checks = new CheckList(name)
  checks.add('mean', 'loss', listTensor(mean), tensorAt(golden, 1, 'expected', 'mean'))
  checks.add('T', 'loss', { shape: [d, d], data: Float64Array.from(transform) }, tensorAt(golden, 2, 'expected', 'T'))
  checks.add('whitened', 'loss', { shape, data: whiten(x) }, tensorAt(golden, 4, 'expected', 'whitened'))
  const firstRow = listTensor(Float64Array.from({ length: d }, (_, k) => inverse[k]))
  checks.add('T_inv_row0', 'loss', firstRow, tensorAt(golden, 1, 'expected', 'T_inv_row0'))
  return checks.checks
}

const fittedArrays = ['train', 'test', 'mean', 'transform', 'inverse', 'train_white', 'test_white']

/** A whitening fitted to training images, and test images under it. */
export const isFittedZca = (golden: GoldenCase): boolean => fittedArrays.every((name) => golden.arrayNames.includes(name))

export async function replayFittedZca(golden: GoldenCase, { name, device }: GoldenEngine): Promise<Check[]> {
  const [train, test] = [readArray(golden, 'train'), readArray(golden, 'test')]
  const { mean, transform, inverse, whiten } = await fitted(train.data, train.shape[0], numberAt(golden, 'meta', 'eps'), device)
  const checks = new CheckList(name)
  const compare = (array: string, actual: ArrayLike<number>) =>
    checks.add(array, 'trajectory', listTensor(actual), readArray(golden, array))
  compare('mean', mean)
  compare('transform', transform)
  compare('inverse', inverse)
  compare('train_white', whiten(train.data))
  compare('test_white', whiten(test.data))
  return checks.checks
}
