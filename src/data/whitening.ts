/** @file A ZCA whitening as data: what it is applied to, its matrices and their identity. Fitting and applying are in src/preprocess. */
import { isRecord } from '../arguments.js'
import { AludelError, expected } from '../errors.js'
import { Turn } from '../event-loop.js'
import { bytesOf, hashOfParts } from '../files/pieces.js'
import { nchwToNhwc, nhwcToNchw } from '../nn/layout.js'

/** What the whitening sees: pixels in [0, 1] ('raw'), or pixels normalised by channel first ('normalised'). */
export type ZcaOrder = 'raw' | 'normalised'

/**
 * y = (x - mean) T and x = y T^-1 + mean, with x one image flattened in PyTorch's order (C, H, W), d = C*H*W numbers. `channels` is what
 * pixels in [0, 1] were normalised by before; mean 0 and standard deviation 1 for 'raw'.
 */
export interface Whitening {
  readonly order: ZcaOrder
  /** Added to every eigenvalue. */
  readonly eps: number
  /** [H, W, C] */
  readonly image: readonly [number, number, number]
  readonly channels: { readonly mean: readonly number[]; readonly std: readonly number[] }
  /** [d] */
  readonly mean: Float32Array
  /** T = U diag((s + eps)^-1/2) U', [d, d] */
  readonly transform: Float32Array
  /** U diag((s + eps)^1/2) U', [d, d] */
  readonly inverse: Float32Array
  /** Name and content hash of the training images that it was fitted to. */
  readonly source: { readonly name: string; readonly sha256: string }
  /** SHA-256 (hex) of all of it. */
  readonly sha256: string
}

/** The identity of a whitening: a hash of its fields, a piece at a time. */
export function whiteningHash(fields: Omit<Whitening, 'sha256'>): Promise<string> {
  const { order, eps, image, channels, source, mean, transform, inverse } = fields
  return hashOfParts(JSON.stringify({ order, eps, image, channels, source }), [mean, transform, inverse].map(bytesOf))
}

/** Throws `invalid_data` when `value` is no whitening of images [H, W, C]. */
export function checkWhitening(what: string, value: unknown, image: readonly number[]): asserts value is Whitening {
  const { image: own, mean, transform, inverse, sha256 } = (isRecord(value) ? value : {}) as Partial<Whitening>
  if (!Array.isArray(own) || typeof sha256 !== 'string') throw expected('invalid_data', `${what}: whitening`, 'what fitZca gives', value)
  if (own.join() !== image.join()) throw expected('invalid_data', `${what}: whitening`, `one of images [${image.join(', ')}]`, own)
  const d = own.reduce((product, side) => product * side, 1)
  const sizes = [mean, transform, inverse].map((array) => (array instanceof Float32Array ? array.length : -1))
  if (sizes.join() !== [d, d * d, d * d].join()) {
    throw new AludelError('invalid_data', `${what}: whitening: expected mean, transform and inverse of ${d} dimensions`)
  }
}

/** NHWC images as they were before whitening: normalised by channel, or in [0, 1]. Small numbers of images only: it computes here. */
export async function unwhiten(images: Float32Array, { image: [h, w, c], mean, inverse }: Whitening): Promise<Float32Array> {
  const d = h * w * c
  const count = images.length / d
  const whitened = nhwcToNchw(images, [count, h, w, c])
  const out = new Float32Array(images.length)
  const sum = new Float64Array(d)
  const turn = new Turn()
  for (let n = 0; n < count; n++) {
    sum.set(mean)
    for (let k = 0; k < d; k++) {
      const y = whitened[n * d + k]
      const row = k * d
      for (let j = 0; j < d; j++) sum[j] += y * inverse[row + j]
      if (k % 256 === 0) await turn.breathe()
    }
    out.set(sum, n * d)
  }
  return nchwToNhwc(out, [count, c, h, w])
}
