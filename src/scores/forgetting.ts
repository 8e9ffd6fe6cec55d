/** @file Forgetting events (Toneva et al., 1812.05159): how often a sample that was right became wrong at its next presentation. */
import { wholeNumber } from '../arguments.js'
import { AludelError, expected } from '../errors.js'
import type { Score } from './score.js'

export const forgetting: Score = {
  name: 'forgetting',
  easy: 'low',
  input: 'correctness',
  source: 'Toneva et al., 1812.05159: forgetting events, summed over runs; never learned counts as the number of presentations',
}

/**
 * What a sample that was never right counts as: the number of its presentations ('presentations', as its authors do, the default),
 * Infinity ('infinity', as data_diet does), or the events that it had, 0 ('events': it then looks unforgettable).
 */
export type NeverLearned = 'presentations' | 'infinity' | 'events'

export const neverLearnedRules: readonly NeverLearned[] = ['presentations', 'infinity', 'events']

/** What a `ForgettingRun` has counted, one number per sample each. */
export interface ForgettingState {
  readonly events: Int32Array
  readonly presentations: Int32Array
  /** Presentation at which a sample was first right, -1 before. */
  readonly firstRight: Int32Array
  /** Its last wrong presentation, -1 before. */
  readonly lastWrong: Int32Array
  /** Whether its last presentation was right. */
  readonly right: Uint8Array
}

/** Counts the events of one training run, presentation by presentation. Memory: 17 bytes per sample. */
export class ForgettingRun {
  readonly samples: number
  readonly #events: Int32Array
  readonly #presentations: Int32Array
  readonly #firstRight: Int32Array
  readonly #lastWrong: Int32Array
  readonly #right: Uint8Array

  /** Throws `invalid_option` unless `samples` is a whole number >= 1. */
  constructor(samples: number) {
    this.samples = wholeNumber('ForgettingRun: samples', samples)
    this.#events = new Int32Array(samples)
    this.#presentations = new Int32Array(samples)
    this.#firstRight = new Int32Array(samples).fill(-1)
    this.#lastWrong = new Int32Array(samples).fill(-1)
    this.#right = new Uint8Array(samples)
  }

  /** The next presentation of sample `row`: whether the network had it right. Throws `invalid_index`. */
  present(row: number, right: boolean): void {
    if (!Number.isInteger(row) || row < 0 || row >= this.samples)
      throw expected('invalid_index', 'ForgettingRun', `a sample in [0, ${this.samples})`, row)
    const time = this.#presentations[row]++
    if (right && this.#firstRight[row] < 0) this.#firstRight[row] = time
    if (!right) this.#lastWrong[row] = time
    if (!right && this.#right[row] === 1) this.#events[row]++
    this.#right[row] = right ? 1 : 0
  }

  /** One presentation of every sample, as an epoch is: 1 or true where the network was right. Throws `invalid_data` for another length. */
  presentAll(right: ArrayLike<number | boolean>): void {
    if (right?.length !== this.samples) throw expected('invalid_data', 'ForgettingRun', `${this.samples} samples`, right?.length)
    for (let row = 0; row < this.samples; row++) {
      if (right[row] !== 0 && right[row] !== 1 && typeof right[row] !== 'boolean')
        throw expected('invalid_data', `ForgettingRun: sample ${row}`, '0, 1, true or false', right[row])
      this.present(row, Boolean(right[row]))
    }
  }

  /** All that is counted, to go on from later: `ForgettingRun.from`. Copies. */
  get state(): ForgettingState {
    return {
      events: this.#events.slice(),
      presentations: this.#presentations.slice(),
      firstRight: this.#firstRight.slice(),
      lastWrong: this.#lastWrong.slice(),
      right: this.#right.slice(),
    }
  }

  /** A run that goes on from `state`. Throws `invalid_data` unless its arrays are of one length. */
  static from(state: ForgettingState): ForgettingRun {
    const run = new ForgettingRun(state.events.length)
    for (const [name, values] of Object.entries(state)) {
      if (values.length !== run.samples) throw expected('invalid_data', `ForgettingRun: ${name}`, `${run.samples} samples`, values.length)
    }
    run.#events.set(state.events)
    run.#presentations.set(state.presentations)
    run.#firstRight.set(state.firstRight)
    run.#lastWrong.set(state.lastWrong)
    run.#right.set(state.right)
    return run
  }

  /** Events of each sample, whether it was ever learned or not. */
  get events(): Int32Array {
    return this.#events.slice()
  }

  /** How often each sample was presented. */
  get presentations(): Int32Array {
    return this.#presentations.slice()
  }

  /** Presentation (from 0) at which each sample was first right; null for one that never was. */
  get firstLearned(): (number | null)[] {
    return Array.from(this.#firstRight, (time) => (time < 0 ? null : time))
  }

  /** Presentations until each sample was right for good: 1 + the last wrong one, 0 for a sample that never was wrong. */
  get presentationsNeeded(): Int32Array {
    const needed = this.#lastWrong.slice()
    for (let row = 0; row < needed.length; row++) needed[row]++
    return needed
  }

  /** Events of each sample, float64, with the rule for those never learned. */
  counts(neverLearned: NeverLearned = 'presentations'): Float64Array {
    if (!neverLearnedRules.includes(neverLearned))
      throw expected('invalid_option', 'forgetting: neverLearned', neverLearnedRules.join(', '), neverLearned)
    const counts = new Float64Array(this.#events)
    if (neverLearned === 'events') return counts
    for (let row = 0; row < counts.length; row++) {
      if (this.#firstRight[row] < 0) counts[row] = neverLearned === 'infinity' ? Number.POSITIVE_INFINITY : this.#presentations[row]
    }
    return counts
  }
}

/**
 * Forgetting score of each sample: counts summed over runs, float64 `[samples]`. With 'infinity' samples that some run never learned are
 * Infinity, which files and selections refuse. Throws `invalid_option`, and `invalid_data` when the runs differ in samples or when a
 * sample was never presented.
 */
export function forgettingScore(runs: readonly ForgettingRun[], neverLearned: NeverLearned = 'presentations'): Float64Array {
  if (!Array.isArray(runs) || runs.length === 0 || !runs.every((run) => run instanceof ForgettingRun))
    throw expected('invalid_option', 'forgettingScore: runs', 'a list of at least one ForgettingRun', runs)
  const sum = new Float64Array(runs[0].samples)
  for (const [r, run] of runs.entries()) {
    if (run.samples !== sum.length) throw expected('invalid_data', `forgettingScore: run ${r}`, `${sum.length} samples`, run.samples)
    const unseen = run.presentations.indexOf(0)
    if (unseen >= 0) {
      throw new AludelError('invalid_data', `forgettingScore: run ${r}: sample ${unseen} was never presented; present every sample`)
    }
    const counts = run.counts(neverLearned)
    for (let row = 0; row < sum.length; row++) sum[row] += counts[row]
  }
  return sum
}
