/** @file For every synthetic image the real image it is nearest to: whether a set gives away the images it was made from. */
import type { Dataset } from '../data/dataset.js'
import { readPixels } from '../data/pixel-rows.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import { type BoundProgram, bindProgram } from '../engine/bound-program.js'
import { argmax, imageGather, matmul, max, mul, reshape, square, sub, sum, transpose } from '../engine/index.js'
import type { Device } from '../engine/runtime/device.js'
import { sizeOf } from '../engine/tensor/shape.js'
import { expected } from '../errors.js'
import { writePixels } from '../preprocess/row-source.js'

export interface NearestReal {
  /** Row of the data set, one per synthetic image. */
  readonly rows: Int32Array
  /** Root mean square difference of pixels in [0, 1]. */
  readonly distances: Float64Array
}

/** Real images of one replay, replays of one crossing, and synthetic images compared at once. */
const batch = 128
const replays = 8
const columns = 1024

/**
 * Searches all of `real` (any class) for the nearest neighbour of each image, both as bytes [0, 255].
 * Candidates come from float32 products on the device; the distance of the winner is exact.
 */
export async function nearestReal(
  images: Uint8Array,
  real: Dataset,
  { device, signal }: { readonly device: Device; readonly signal?: AbortSignal },
): Promise<NearestReal> {
  const pixels = sizeOf(real.shape.slice(1))
  const count = images.length / pixels
  if (!Number.isInteger(count)) throw expected('invalid_shape', 'images', `a multiple of ${pixels} bytes`, images.length)
  const rows = new Int32Array(count)
  for (let from = 0; from < count; from += columns) {
    const part = images.subarray(from * pixels, Math.min(count, from + columns) * pixels)
    rows.set(await searchAll(part, part.length / pixels, real, device, signal), from)
  }
  const nearest = await readPixels(real, rows)
  const distances = Float64Array.from(rows, (_, i) => {
    let squares = 0
    for (let p = i * pixels; p < (i + 1) * pixels; p++) squares += ((images[p] - nearest[p]) / 255) ** 2
    return Math.sqrt(squares / pixels)
  })
  return { rows, distances }
}

async function searchAll(
  images: Uint8Array,
  count: number,
  real: Dataset,
  device: Device,
  signal: AbortSignal | undefined,
): Promise<Int32Array> {
  const [total, height, width, channels] = real.shape
  // rows that are on the disk come in one pass, those of one crossing at a time
  const shape = [real.pixels ? Math.min(total, replays * batch) : total, height, width, channels] as const
  const centred = new Float32Array(images.length)
  for (let i = 0; i < images.length; i++) centred[i] = images[i] / 255 - 0.5
  const { program, arrays } = allOrNothing((own) => ({
    program: own(searchProgram(device, shape, count)),
    arrays: {
      data: own(device.array('u8', shape, real.pixels ? undefined : real.images)),
      scale: own(device.array('f32', [channels], new Float32Array(channels).fill(1 / 255))),
      shift: own(device.array('f32', [channels], new Float32Array(channels).fill(-0.5))),
      images: own(device.array('f32', [count, centred.length / count], centred)),
      index: own(device.array('i32', [replays, batch])),
      nearness: own(device.array('f32', [replays, count])),
      place: own(device.array('i32', [replays, count])),
    },
  }))
  const best = new Float32Array(count).fill(Number.NEGATIVE_INFINITY)
  const rows = new Int32Array(count)
  try {
    for (let from = 0; from < total; from += replays * batch) {
      const n = Math.min(replays, Math.ceil((total - from) / batch))
      const rowsHere = Int32Array.from({ length: replays * batch }, (_, i) => Math.min(from + i, total - 1))
      const index = real.pixels ? rowsHere.map((row) => row - from) : rowsHere
      const written = real.pixels ? await writePixels(arrays.data, 0, await real.pixels.read(rowsHere.subarray(0, shape[0]))) : []
      await Promise.all([...written, arrays.index.write(index), program.run(arrays, { n, ...(signal && { signal }) })])
      const [nearness, place] = await Promise.all([arrays.nearness.read(), arrays.place.read()])
      for (let at = 0; at < n * count; at++) {
        const i = at % count
        if (nearness[at] <= best[i]) continue
        best[i] = nearness[at]
        rows[i] = rowsHere[Math.floor(at / count) * batch + place[at]]
      }
    }
    return rows
  } finally {
    for (const array of Object.values(arrays)) array.dispose()
    program.dispose()
  }
}

/** Of one batch of real images, the nearest to each synthetic one: |s - r|^2 = |s|^2 - (2 s.r - |r|^2), and |s|^2 decides nothing. */
function searchProgram(device: Device, shape: Dataset['shape'], count: number): BoundProgram {
  const [, height, width, channels] = shape
  const pixels = height * width * channels
  const slots = { count: replays }
  return bindProgram(device, {
    inputs: {
      data: { shape, dtype: 'u8' },
      scale: { shape: [channels] },
      shift: { shape: [channels] },
      images: { shape: [count, pixels] },
      index: { shape: [batch], dtype: 'i32', slots },
    },
    outputs: { nearness: { slots }, place: { slots } },
    build(v) {
      const r = reshape(imageGather(v.data, v.index, v.scale, v.shift), [batch, pixels])
      const products = matmul(v.images, transpose(r, [1, 0]))
      const nearness = sub(mul(products, 2), reshape(sum(square(r), { axes: [1] }), [1, batch]))
      return { nearness: max(nearness, { axes: [1] }), place: argmax(nearness) }
    },
  })
}
