/**
 * @file Fits a ZCA whitening: mean and covariance (divisor N - 1) of the training images, their eigendecomposition, and the two matrices.
 * The covariance is exact whatever the order of its sums: bytes less 128 are whole numbers, and 1024 products of them fit float32.
 */
import { checkDevice, checkOptions, checkSignal } from '../arguments.js'
import type { Dataset } from '../data/dataset.js'
import { type Whitening, whiteningHash, type ZcaOrder } from '../data/whitening.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import { type BoundProgram, bindProgram } from '../engine/bound-program.js'
import { add, cast, imageGather, matmul, mul, reshape, sub, sum, transpose } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { AludelError, expected } from '../errors.js'
import { loadCached, storeCached } from './whitening-file.js'

export interface ZcaOptions {
  readonly device: Device
  /** 'raw' (default; MTT): pixels in [0, 1] are whitened. 'normalised' (DataDAM): pixels are normalised by channel first. */
  readonly order?: ZcaOrder
  /** Added to every eigenvalue; default 0.1. */
  readonly eps?: number
  /** Directory that fitted whitenings are kept in, by content; default none. */
  readonly cache?: string
  readonly signal?: AbortSignal
}

/** Rows of one replay: sums of as many products of whole numbers up to 128 are exact in float32. */
export const gramRows = 1024
/** Numbers in one image: the matrices of more take gigabytes. */
const mostDimensions = 16_384
const centre = 128

/**
 * Whitening of the training images `train`: T = U diag((s + eps)^-1/2) U' of their covariance, over d = H*W*C pixels. Same images, same
 * instruction set: same bits, at any number of threads. d = 3072 takes d^2 x 8 bytes about four times.
 * @throws AludelError `invalid_option`, `invalid_data` for fewer than two images or more than 16384 pixels each, `out_of_memory`, `io` when the
 * cache cannot be written. Rejects with AbortError on `signal`.
 */
export async function fitZca(train: Dataset, options: ZcaOptions): Promise<Whitening> {
  checkOptions('fitZca', options, { device: true, order: true, eps: true, cache: true, signal: true })
  const { device, order = 'raw', eps = 0.1, cache, signal } = options
  checkDevice('fitZca', device)
  checkSignal('fitZca', signal)
  if (order !== 'raw' && order !== 'normalised') throw expected('invalid_option', 'zca', "'raw' or 'normalised'", order)
  if (!(Number.isFinite(eps) && eps > 0)) throw expected('invalid_option', 'zca: eps', 'a number > 0', eps)
  const [n, h, w, c] = train.shape
  if (train.whitened) throw new AludelError('invalid_data', `data set '${train.name}' is whitened already; fit to the images before`)
  if (n < 2) throw expected('invalid_data', `data set '${train.name}'`, 'at least two images to whiten by', n)
  if (h * w * c > mostDimensions)
    throw expected('invalid_data', 'zca: numbers in an image', `at most ${mostDimensions}`, h * w * c, 'give a smaller size')
  const channels =
    order === 'raw'
      ? { mean: new Array<number>(c).fill(0), std: new Array<number>(c).fill(1) }
      : { mean: [...train.mean], std: [...train.std] }
  const about = { order, eps, image: [h, w, c] as const, channels, source: { name: train.name, sha256: train.sha256 } }
  const kept = cache === undefined ? undefined : await loadCached(cache, about, device.isa)
  if (kept) return kept
  const moments = await gramOf(train, device, signal)
  try {
    const { mean, covariance } = await covarianceOf(device, moments, train, channels)
    try {
      const matrices = await zcaMatrices(device, covariance, eps, signal)
      const fields = { ...about, mean, ...matrices }
      const whitening: Whitening = Object.freeze({ ...fields, sha256: await whiteningHash(fields) })
      if (cache !== undefined) await storeCached(cache, whitening, device.isa)
      return whitening
    } finally {
      covariance.dispose()
    }
  } finally {
    for (const array of Object.values(moments)) array.dispose()
  }
}

interface Moments {
  /** Sums of products of bytes less 128, f64 [d, d], pixels in the order (C, H, W). */
  readonly gram: DeviceArray
  /** Sums of bytes less 128, f64 [1, d]. */
  readonly sums: DeviceArray
}

async function gramOf(train: Dataset, device: Device, signal: AbortSignal | undefined): Promise<Moments> {
  const [n, h, w, c] = train.shape
  const d = h * w * c
  const rows = Math.min(gramRows, n)
  const replays = Math.ceil(n / rows)
  const { program, work, moments } = allOrNothing((own) => ({
    program: own(gramProgram(device, train.shape, rows, replays)),
    work: {
      data: own(device.array('u8', train.shape, train.images)),
      index: own(
        device.array(
          'i32',
          [replays, rows],
          Int32Array.from({ length: replays * rows }, (_, i) => Math.min(i, n - 1)),
        ),
      ),
      weights: own(
        device.array(
          'f32',
          [replays, rows, 1],
          Float32Array.from({ length: replays * rows }, (_, i) => (i < n ? 1 : 0)),
        ),
      ),
      one: own(device.array('f32', [c], new Float32Array(c).fill(1))),
      shift: own(device.array('f32', [c], new Float32Array(c).fill(-centre))),
    },
    moments: { gram: own(device.array('f64', [d, d])), sums: own(device.array('f64', [1, d])) },
  }))
  try {
    await program.run({ ...work, ...moments }, { n: replays, ...(signal && { signal }) })
    return moments
  } catch (error) {
    for (const array of Object.values(moments)) array.dispose()
    throw error
  } finally {
    for (const array of Object.values(work)) array.dispose()
    program.dispose()
  }
}

export function gramProgram(device: Device, shape: Dataset['shape'], rows: number, replays: number): BoundProgram {
  const [, h, w, c] = shape
  const d = h * w * c
  const slots = { count: replays }
  return bindProgram(device, {
    inputs: {
      data: { shape, dtype: 'u8' },
      index: { shape: [rows], dtype: 'i32', slots },
      weights: { shape: [rows, 1], slots },
      one: { shape: [c] },
      shift: { shape: [c] },
      gram: { shape: [d, d], dtype: 'f64' },
      sums: { shape: [1, d], dtype: 'f64' },
    },
    outputs: { gram: { donate: 'gram' }, sums: { donate: 'sums' } },
    build(v) {
      const pixels = transpose(imageGather(v.data, v.index, v.one, v.shift), [0, 3, 1, 2])
      // rows that fill up the last batch count nothing
      const x = mul(reshape(pixels, [rows, d]), v.weights)
      return {
        gram: add(v.gram, cast(matmul(x, x, { transposeA: true }), 'f64')),
        sums: add(v.sums, cast(sum(x, { axes: [0], keep: true }), 'f64')),
      }
    },
  })
}

/** Mean (float32) and covariance of normalised pixels from the sums over bytes. */
async function covarianceOf(
  device: Device,
  { gram, sums }: Moments,
  { shape: [n, h, w, c] }: Dataset,
  channels: Whitening['channels'],
): Promise<{ mean: Float32Array; covariance: DeviceArray }> {
  const d = h * w * c
  const channelOf = (i: number) => Math.floor(i / (h * w))
  const scales = Float64Array.from({ length: d }, (_, i) => 1 / (255 * channels.std[channelOf(i)]))
  const totals = (await sums.read()) as Float64Array
  const mean = Float32Array.from(totals, (total, i) => {
    const k = channelOf(i)
    return ((total / n + centre) / 255 - channels.mean[k]) / channels.std[k]
  })
  const { program, scale, covariance } = allOrNothing((own) => ({
    program: own(
      bindProgram(device, {
        inputs: { gram: { shape: [d, d], dtype: 'f64' }, sums: { shape: [1, d], dtype: 'f64' }, scale: { shape: [1, d], dtype: 'f64' } },
        outputs: { covariance: {} },
        build(v) {
          const products = mul(reshape(v.sums, [d, 1]), v.sums)
          const centred = sub(v.gram, mul(products, 1 / n))
          return { covariance: mul(mul(centred, 1 / (n - 1)), mul(reshape(v.scale, [d, 1]), v.scale)) }
        },
      }),
    ),
    scale: own(device.array('f64', [1, d], scales)),
    covariance: own(device.array('f64', [d, d])),
  }))
  try {
    await program.run({ gram, sums, scale, covariance })
    return { mean, covariance }
  } catch (error) {
    covariance.dispose()
    throw error
  } finally {
    scale.dispose()
    program.dispose()
  }
}

/**
 * T and its inverse as float32 from a covariance, f64 [d, d], which the eigenvectors overwrite. Eigenvalues that rounding made negative
 * count as 0.
 */
export async function zcaMatrices(
  device: Device,
  covariance: DeviceArray,
  eps: number,
  signal?: AbortSignal,
): Promise<Pick<Whitening, 'transform' | 'inverse'>> {
  const [d] = covariance.shape
  const { program, values, factors, product } = allOrNothing((own) => ({
    program: own(productProgram(device, d)),
    values: own(device.array('f64', [d])),
    factors: own(device.array('f64', [d, 1])),
    product: own(device.array('f32', [d, d])),
  }))
  try {
    await device.symmetricEigen(covariance, values, signal && { signal })
    const spectrum = ((await values.read()) as Float64Array).map((value) => Math.max(0, value) + eps)
    const weighted = async (power: number): Promise<Float32Array> => {
      await factors.write(spectrum.map((value) => value ** power))
      await program.run({ vectors: covariance, factors, product }, signal && { signal })
      return (await product.read()) as Float32Array
    }
    return { transform: await weighted(-0.5), inverse: await weighted(0.5) }
  } finally {
    for (const array of [values, factors, product]) array.dispose()
    program.dispose()
  }
}

/** The product U diag(f) U': rows of `vectors` are eigenvectors, sum over k of f_k u_k' u_k. */
export const productProgram = (device: Device, d: number): BoundProgram =>
  bindProgram(device, {
    inputs: { vectors: { shape: [d, d], dtype: 'f64' }, factors: { shape: [d, 1], dtype: 'f64' } },
    outputs: { product: {} },
    build: (v) => ({ product: cast(matmul(v.vectors, mul(v.vectors, v.factors), { transposeA: true }), 'f32') }),
  })
