/** @file k-center greedy (Sener & Savarese, 1708.00489): each step takes the row farthest from those chosen. O(N k) time, O(N) memory. */
import { checkDevice, checkOptions } from '../arguments.js'
import type { Device } from '../engine/runtime/device.js'
import { expected } from '../errors.js'
import { Turn } from '../event-loop.js'
import { fitsDevice, uploadRows } from './device-rows.js'
import { herdOnDevice } from './herding-device.js'
import { kCenterOnDevice } from './k-center-device.js'
import { checkFiniteMatrix, finiteMeanRow, type Matrix, rowsPerTurn, squaredDistance } from './matrix.js'
import { checkCount } from './pick.js'

export interface KCenterOptions {
  /** Rows that are part of the set from the start. Default: the row nearest to the mean of all, so that equal features give equal sets. */
  readonly start?: number | readonly number[]
  /** Where distances of float32 features are computed; the result is the same without it, only later. */
  readonly device?: Device
}

export interface KCenter {
  /** In the order chosen, those of `start` first; the first row wins ties. */
  readonly indices: Int32Array
  /** radii[t]: the largest distance of any row to the nearest of the first t + 1 chosen. */
  readonly radii: Float64Array
}

/**
 * `count` rows in all, those of `start` among them, of `features` [samples, width].
 * Throws `invalid_option` (a count above the rows or below the start, a row twice), `invalid_index`, `invalid_shape`, `detached`, `not_finite`;
 * with a device also `out_of_memory`, `disposed`.
 */
export async function kCenterGreedy(features: Matrix, count: number, options: KCenterOptions = {}): Promise<KCenter> {
  const what = 'kCenterGreedy'
  checkOptions<KCenterOptions>(what, options, { start: true, device: true })
  if (options.device !== undefined) checkDevice(what, options.device)
  const given = options.start === undefined || [options.start].flat().length === 0 ? undefined : options.start
  // the mean says as well whether all numbers are finite
  const mean = given === undefined ? await finiteMeanRow(`${what}: features`, features) : undefined
  if (!mean) await checkFiniteMatrix(`${what}: features`, features)
  const [rows] = features.shape
  checkCount(what, count, rows)
  const start = given === undefined ? [] : checkStart(what, given, rows)
  if (start.length > count) throw expected('invalid_option', `${what}: count`, `at least ${start.length}, the rows of start`, count)
  if (count === 0) return { indices: new Int32Array(), radii: new Float64Array() }
  const { device } = options
  if (!device || !fitsDevice(features)) return pick(features, count, mean ? [await nearestRow(features, mean)] : start)
  const uploaded = await uploadRows(device, features)
  try {
    // the row nearest to the mean is the first that herding takes
    return await kCenterOnDevice(uploaded, count, mean ? [...(await herdOnDevice(uploaded, mean, 1, 'residual', false))] : start)
  } finally {
    uploaded.dispose()
  }
}

async function pick(features: Matrix, count: number, start: readonly number[]): Promise<KCenter> {
  const {
    data,
    shape: [rows, width],
  } = features
  const turn = new Turn()
  // squared distance to the nearest chosen row; -1 for a chosen one, which duplicates of it must not tie with
  const nearest = new Float64Array(rows).fill(Number.POSITIVE_INFINITY)
  const indices = new Int32Array(count)
  const radii = new Float64Array(count)
  const step = rowsPerTurn(width)
  let next = start[0]
  for (let t = 0; t < count; t++) {
    next = start[t] ?? next
    indices[t] = next
    const centre = data.subarray(next * width, (next + 1) * width)
    nearest[next] = -1
    let farthest = -1
    let largest = -1
    for (let row = 0; row < rows; row++) {
      if (row % step === 0) await turn.breathe()
      if (nearest[row] < 0) continue
      nearest[row] = Math.min(nearest[row], squaredDistance(centre, data, row * width))
      if (nearest[row] > largest) {
        largest = nearest[row]
        farthest = row
      }
    }
    radii[t] = Math.sqrt(Math.max(0, largest))
    next = farthest
  }
  return { indices, radii }
}

function checkStart(what: string, start: number | readonly number[], rows: number): readonly number[] {
  const list = Array.isArray(start) ? start : [start]
  for (const row of list) {
    if (!Number.isInteger(row) || row < 0 || row >= rows) throw expected('invalid_index', `${what}: start`, `rows in [0, ${rows})`, row)
  }
  if (new Set(list).size !== list.length) throw expected('invalid_option', `${what}: start`, 'each row once', list)
  return list
}

/** The row nearest to a point, the first of equals. */
async function nearestRow({ data, shape: [rows, width] }: Matrix, point: Float64Array): Promise<number> {
  const turn = new Turn()
  const step = rowsPerTurn(width)
  let [best, least] = [0, Number.POSITIVE_INFINITY]
  for (let row = 0; row < rows; row++) {
    if (row % step === 0) await turn.breathe()
    const distance = squaredDistance(point, data, row * width)
    if (distance < least) {
      least = distance
      best = row
    }
  }
  return best
}
