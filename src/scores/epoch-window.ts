/** @file Means over runs and epochs: the windows of BiLP's LossInit and LossConverge, and plain means of several runs. */
import { isRecord, wholeNumber } from '../arguments.js'
import { expected } from '../errors.js'
import { checkFiniteScores } from './score.js'

/** Epochs `from` up to but not including `to`, counted from 0. */
export interface EpochWindow {
  readonly from: number
  readonly to: number
}

/** BiLP's LossInit: the first `epochs` epochs. */
export const lossInit = (epochs: number): EpochWindow => ({ from: 0, to: wholeNumber('lossInit: epochs', epochs) })

/** BiLP's LossConverge: the last `epochs` of `total` epochs. Throws `invalid_option` when there are fewer. */
export function lossConverge(total: number, epochs: number): EpochWindow {
  wholeNumber('lossConverge: total', total)
  if (wholeNumber('lossConverge: epochs', epochs) > total)
    throw expected('invalid_option', 'lossConverge: epochs', `at most ${total}, as many as there are`, epochs)
  return { from: total - epochs, to: total }
}

/** A mean of scores that arrive one array at a time; float64 sums in the order of arrival. */
export class ScoreMean {
  readonly #sum: Float64Array
  #count = 0

  /** Throws `invalid_option` unless `samples` is a whole number >= 1. */
  constructor(samples: number) {
    this.#sum = new Float64Array(wholeNumber('ScoreMean: samples', samples))
  }

  /** Throws `invalid_data` for another number of samples, `not_finite` with the rows that hold NaN or infinity. */
  add(values: ArrayLike<number>): void {
    const sum = this.#sum
    if (values?.length !== sum.length) throw expected('invalid_data', 'ScoreMean: values', `${sum.length} scores`, values?.length)
    checkFiniteScores(`ScoreMean: scores ${this.#count}`, values)
    for (let i = 0; i < sum.length; i++) sum[i] += values[i]
    this.#count++
  }

  /** Throws `invalid_option` before anything was added. */
  mean(): Float64Array {
    if (this.#count === 0) throw expected('invalid_option', 'ScoreMean', 'scores to be added first', 'none')
    const mean = this.#sum.slice()
    for (let i = 0; i < mean.length; i++) mean[i] /= this.#count
    return mean
  }
}

/**
 * Mean of `runs[run][epoch][sample]` over all runs and the epochs of `window` (all epochs without one), float64 `[samples]`.
 * Throws `invalid_option` for a window beyond a run's epochs, `invalid_data` and `not_finite` as `ScoreMean`.
 */
export function windowMean(runs: readonly (readonly ArrayLike<number>[])[], window?: EpochWindow): Float64Array {
  const wanted = 'runs of epochs of one number per sample'
  if (!Array.isArray(runs) || !Array.isArray(runs[0]) || runs[0].length === 0)
    throw expected('invalid_option', 'windowMean: runs', wanted, runs)
  const { from, to } = window === undefined ? { from: 0, to: runs[0].length } : checkWindow(window)
  const mean = new ScoreMean(runs[0][0].length)
  for (const epochs of runs) {
    if (to > epochs.length) throw expected('invalid_option', 'windowMean: window', `epochs up to ${epochs.length}`, to)
    for (const values of epochs.slice(from, to)) mean.add(values)
  }
  return mean.mean()
}

function checkWindow(window: EpochWindow): EpochWindow {
  const { from, to } = (isRecord(window) ? window : {}) as Partial<EpochWindow>
  const whole = Number.isSafeInteger(from) && Number.isSafeInteger(to)
  if (!whole || Number(from) < 0 || Number(from) >= Number(to))
    throw expected('invalid_option', 'windowMean: window', '{ from, to } in whole epochs with 0 <= from < to', window)
  return window
}
