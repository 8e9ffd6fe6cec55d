/** @file The range of expert epochs that matching starts from, which grows with the iterations (DATM, arXiv 2310.05773; PAD). */
import { checkOptions, wholeNumber } from '../arguments.js'
import { expected } from '../errors.js'

/** Epochs of an expert, 0 = its initialisation. Bounds at the upper end are exclusive. */
export interface StartEpochs {
  /** T-: the first epoch to start from. */
  readonly min: number
  /** T: the bound at iteration 0. */
  readonly start: number
  /** T+: the bound that the range grows to. */
  readonly max: number
  /** The iteration at which the bound is `max`. */
  readonly expansionEnd: number
  /** Whether the range grows; if not, the bound is `max` from the beginning. */
  readonly sequential: boolean
}

const known: Readonly<Record<keyof StartEpochs, true>> = { min: true, start: true, max: true, expansionEnd: true, sequential: true }

/** Throws `invalid_option` unless 0 <= min < start <= max (start is not looked at where the range does not grow) and growing ends after iteration 0. */
export function checkStartEpochs(what: string, epochs: StartEpochs): void {
  checkOptions<StartEpochs>(what, epochs, known)
  const { min, start, max, expansionEnd, sequential } = epochs
  if (typeof sequential !== 'boolean') throw expected('invalid_option', `${what}: sequential`, 'true or false', sequential)
  wholeNumber(`${what}: min`, min, 0)
  wholeNumber(`${what}: max`, max)
  const bound = sequential ? wholeNumber(`${what}: start`, start) : max
  if (sequential) wholeNumber(`${what}: expansionEnd`, expansionEnd)
  if (min < bound && bound <= max) return
  const order = sequential ? 'min < start <= max' : 'min < max'
  const got = sequential ? `${min}, ${start}, ${max}` : `${min}, ${max}`
  throw expected('invalid_option', what, order, got, 'the upper bounds are exclusive: at least one epoch must lie in the range')
}

/** U: matching of `iteration`, counted from 0, starts from an epoch of [min, U): min(T + int((T+ - T) iteration / expansionEnd), T+). Throws `invalid_option`. */
export function startEpochBound(epochs: StartEpochs, iteration: number): number {
  checkStartEpochs('startEpochBound', epochs)
  wholeNumber('startEpochBound: iteration', iteration, 0)
  const { start, max, expansionEnd, sequential } = epochs
  return sequential ? Math.min(start + Math.trunc(((max - start) * iteration) / expansionEnd), max) : max
}
