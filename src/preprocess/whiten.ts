/** @file Applies a whitening to the images of a data set, on the device. */
import { checkDevice, checkSignal } from '../arguments.js'
import { type Dataset, whitenedDataset } from '../data/dataset.js'
import { scaleShift } from '../data/normalize.js'
import { checkWhitening, type Whitening } from '../data/whitening.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import { type BoundProgram, bindProgram } from '../engine/bound-program.js'
import { imageGather, matmul, reshape, sub, transpose } from '../engine/index.js'
import type { Device } from '../engine/runtime/device.js'
import { AludelError } from '../errors.js'

export interface WhitenOptions {
  readonly device: Device
  readonly signal?: AbortSignal
}

/** Rows of one replay, and replays of one crossing. */
const batch = 256
const replays = 4
/** Rows on the device at a time. */
export const whitenedRows = batch * replays

/**
 * The data set with whitened float32 pixels beside its bytes: methods and evaluations see the whitened ones, eyes the bytes. Its mean and
 * standard deviation become those that the whitening was fitted behind.
 * @throws AludelError `invalid_data` for images of another size or a data set that is whitened otherwise, `out_of_memory`.
 */
export async function whiten(dataset: Dataset, whitening: Whitening, { device, signal }: WhitenOptions): Promise<Dataset> {
  checkDevice('whiten', device)
  checkSignal('whiten', signal)
  const what = `data set '${dataset.name}'`
  const [n, h, w, c] = dataset.shape
  checkWhitening(what, whitening, [h, w, c])
  if (dataset.whitened) {
    if (dataset.whitened.whitening.sha256 === whitening.sha256) return dataset
    throw new AludelError('invalid_data', `${what}: is whitened by another whitening already; give the data set as it was read`)
  }
  const d = h * w * c
  const { program, arrays } = allOrNothing((own) => {
    const { scale, shift } = scaleShift(whitening.channels)
    return {
      program: own(whitenProgram(device, dataset.shape)),
      arrays: {
        data: own(device.array('u8', dataset.shape, dataset.images)),
        scale: own(device.array('f32', [c], scale)),
        shift: own(device.array('f32', [c], shift)),
        mean: own(device.array('f32', [1, d], whitening.mean)),
        transform: own(device.array('f32', [d, d], whitening.transform)),
        index: own(device.array('i32', [replays, batch])),
        whitened: own(device.array('f32', [replays, batch, h, w, c])),
      },
    }
  })
  try {
    const pixels = allocate(what, n * d)
    for (let from = 0; from < n; from += replays * batch) {
      const index = Int32Array.from({ length: replays * batch }, (_, i) => Math.min(from + i, n - 1))
      const count = Math.min(replays, Math.ceil((n - from) / batch))
      await Promise.all([arrays.index.write(index), program.run(arrays, { n: count, ...(signal && { signal }) })])
      const part = (await arrays.whitened.read()) as Float32Array
      pixels.set(part.subarray(0, Math.min(replays * batch, n - from) * d), from * d)
    }
    return whitenedDataset(dataset, whitening, pixels)
  } finally {
    for (const array of Object.values(arrays)) array.dispose()
    program.dispose()
  }
}

function allocate(what: string, count: number): Float32Array {
  try {
    return new Float32Array(count)
  } catch (cause) {
    throw new AludelError('out_of_memory', `${what}: its whitened pixels need ${count * 4} bytes`, { cause })
  }
}

export function whitenProgram(device: Device, shape: Dataset['shape']): BoundProgram {
  const [, h, w, c] = shape
  const d = h * w * c
  const slots = { count: replays }
  return bindProgram(device, {
    inputs: {
      data: { shape, dtype: 'u8' },
      scale: { shape: [c] },
      shift: { shape: [c] },
      mean: { shape: [1, d] },
      transform: { shape: [d, d] },
      index: { shape: [batch], dtype: 'i32', slots },
    },
    outputs: { whitened: { slots } },
    build(v) {
      const x = reshape(transpose(imageGather(v.data, v.index, v.scale, v.shift), [0, 3, 1, 2]), [batch, d])
      const y = matmul(sub(x, v.mean), v.transform)
      return { whitened: transpose(reshape(y, [batch, c, h, w]), [0, 2, 3, 1]) }
    },
  })
}
