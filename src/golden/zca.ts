/** @file Replays of ZCA cases: mean, whitening matrix, whitened images and inverse, from images that are not bytes. */
import { symmetricEigen } from '../engine/reference/symmetric-eigen.js'
import type { Device } from '../engine/runtime/device.js'
import { zcaMatrices } from '../preprocess/zca.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList } from './compare.js'
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

export async function replayZca(golden: GoldenCase, { name, device }: GoldenEngine): Promise<Check[]> {
  const { shape, data: x } = tensorAt(golden, 4, 'inputs', 'x')
  const n = shape[0]
  const d = x.length / n
  const { mean, covariance } = moments(x, n, d)
  const eps = numberAt(golden, 'params', 'eps')
  const [transform, inverse] = device ? await deviceMatrices(device, covariance, d, eps) : referenceMatrices(covariance, d, eps)
  const whitened = new Float64Array(n * d)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < d; j++) {
      const centred = x[i * d + j] - mean[j]
      for (let k = 0; k < d; k++) whitened[i * d + k] += centred * transform[j * d + k]
    }
  }
  const checks = new CheckList(name)
  checks.add('mean', 'loss', { shape: [d], data: mean }, tensorAt(golden, 1, 'expected', 'mean'))
  checks.add('T', 'loss', { shape: [d, d], data: Float64Array.from(transform) }, tensorAt(golden, 2, 'expected', 'T'))
  checks.add('whitened', 'loss', { shape, data: whitened }, tensorAt(golden, 4, 'expected', 'whitened'))
  checks.add(
    'T_inv_row0',
    'loss',
    { shape: [d], data: Float64Array.from({ length: d }, (_, k) => inverse[k]) },
    tensorAt(golden, 1, 'expected', 'T_inv_row0'),
  )
  return checks.checks
}
