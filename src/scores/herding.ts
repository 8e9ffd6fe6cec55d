/** @file Herding (Welling 2009): samples whose running mean follows the mean of all, by the residual rule or by Welling's own. */
import { checkDevice, checkOptions } from '../arguments.js'
import type { HerdRule } from '../engine/index.js'
import type { Device } from '../engine/runtime/device.js'
import { expected } from '../errors.js'
import { Turn } from '../event-loop.js'
import { fitsDevice, uploadRows } from './device-rows.js'
import { herdOnDevice } from './herding-device.js'
import { finiteMeanRow, inner, type Matrix, rowsPerTurn, squaredDistance } from './matrix.js'
import { checkCount } from './pick.js'

export interface HerdOptions {
  /**
   * 'residual' (default): step t takes argmin ||(t+1) mean - sum(chosen) - x|| among those left. 'welling': w = mean; take argmax <w, x>,
   * then w += mean - x.
   */
  readonly rule?: 'residual' | 'welling'
  /** Whether a row may be taken again; of Welling's rule only. Default false. */
  readonly repeats?: boolean
  /** Where distances to float32 features are computed; the result is the same without it, only later. */
  readonly device?: Device
}

/**
 * `count` rows of `features` [samples, width] in the order chosen; the first row wins ties, sums are float64.
 * Throws `invalid_option` (a count above the rows, unless they may repeat), `invalid_shape`, `detached`, `not_finite`;
 * with a device also `out_of_memory`, `disposed`.
 */
export async function herd(features: Matrix, count: number, options: HerdOptions = {}): Promise<Int32Array> {
  checkOptions<HerdOptions>('herd', options, { rule: true, repeats: true, device: true })
  const { rule = 'residual', repeats = false, device } = options
  if (device !== undefined) checkDevice('herd', device)
  if (rule !== 'residual' && rule !== 'welling') throw expected('invalid_option', 'herd: rule', "'residual' or 'welling'", rule)
  if (typeof repeats !== 'boolean' || (repeats && rule === 'residual'))
    throw expected('invalid_option', 'herd: repeats', "true or false, and false without rule 'welling'", repeats)
  const mean = await finiteMeanRow('herd: features', features)
  checkCount('herd', count, repeats ? Number.POSITIVE_INFINITY : features.shape[0])
  if (count === 0) return new Int32Array()
  if (!device || !fitsDevice(features)) return pick(features, mean, count, rule, repeats)
  const rows = await uploadRows(device, features)
  try {
    return await herdOnDevice(rows, mean, count, rule, repeats)
  } finally {
    rows.dispose()
  }
}

async function pick(features: Matrix, mean: Float64Array, count: number, rule: HerdRule, repeats: boolean): Promise<Int32Array> {
  const {
    data,
    shape: [rows, width],
  } = features
  const turn = new Turn()
  const residual = rule === 'residual'
  // the residual rule aims at (t+1) mean - sum(chosen), Welling's at its weight vector: the same recursion, from another start
  const target = residual ? new Float64Array(width) : mean.slice()
  const left = new Uint8Array(rows).fill(1)
  const chosen = new Int32Array(count)
  const step = rowsPerTurn(width)
  for (let t = 0; t < count; t++) {
    if (residual) add(target, mean, 0, 1)
    let best = -1
    let least = Number.POSITIVE_INFINITY
    for (let row = 0; row < rows; row++) {
      if (row % step === 0) await turn.breathe()
      if (left[row] === 0) continue
      const value = residual ? squaredDistance(target, data, row * width) : -inner(target, data, row * width)
      if (best < 0 || value < least) {
        least = value
        best = row
      }
    }
    chosen[t] = best
    if (!repeats) left[best] = 0
    add(target, data, best * width, -1)
    if (!residual) add(target, mean, 0, 1)
  }
  return chosen
}

/** target += sign times the row that begins at `from`. */
function add(target: Float64Array, data: ArrayLike<number>, from: number, sign: number): void {
  for (let i = 0; i < target.length; i++) target[i] += sign * data[from + i]
}
