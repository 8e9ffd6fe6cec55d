/**
 * @file Bookkeeping of a pool of networks: which one an outer step takes, when it is trained and when drawn anew. All draws follow from the
 * seed and the number of the step, so a run that is continued visits as one that never ended.
 */
import { fold, type Key, purpose } from '../../engine/tensor/key.js'
import { philoxBlock } from '../../engine/tensor/philox.js'

export const poolCounters = ['reset', 'release'] as const
export type PoolCounter = (typeof poolCounters)[number]

/** How old the networks of a fresh pool are: trained for random numbers of steps, or untrained with counters that are spread evenly. */
export const poolStarts = ['trained', 'staggered'] as const
export type PoolStart = (typeof poolStarts)[number]

export interface PoolRule {
  /** l: networks. */
  readonly models: number
  /** Z: a network whose counter is there is drawn anew; 0: at every visit. */
  readonly maxSteps: number
  /** 'reset': the counter of a network that is drawn anew begins at 0; 'release': it stays, so such a network is never trained again. */
  readonly counter: PoolCounter
  readonly start: PoolStart
}

/** A network in [0, models). */
export function pickAt(key: Key, step: number, models: number): number {
  return below(fold(key, 'pool-pick'), step, models)
}

/** Counters of a fresh pool: a uniform draw from [1, Z - 1] each where it is trained, multiples of Z / l where it is not. */
export function initialSteps(key: Key, { models, maxSteps, start }: PoolRule): number[] {
  if (maxSteps < 2) return new Array<number>(models).fill(0)
  if (start === 'staggered') return Array.from({ length: models }, (_, i) => Math.floor((i * maxSteps) / models))
  const own = fold(key, 'pool-start')
  return Array.from({ length: models }, (_, i) => 1 + below(own, i, maxSteps - 1))
}

/** Uniform in [0, bound); its bias is below bound / 2^32. */
function below(key: Key, counter: number, bound: number): number {
  const words = new Uint32Array(4)
  philoxBlock(key, 0, counter, purpose.pool, 1, words)
  return Math.floor((words[0] * bound) / 2 ** 32)
}

/** What is done to the network of a visit, after the outer step has used it. */
export type Visit = 'train' | 'renew'

/** Counters and ages of the networks. `counters` is what decides, `ages` the steps that the weights have truly been trained for. */
export class PoolSchedule {
  readonly counters: Int32Array
  readonly ages: Int32Array
  readonly #rule: Pick<PoolRule, 'maxSteps' | 'counter'>

  constructor(rule: Pick<PoolRule, 'maxSteps' | 'counter'>, counters: ArrayLike<number>, ages: ArrayLike<number>) {
    this.#rule = rule
    this.counters = Int32Array.from(counters)
    this.ages = Int32Array.from(ages)
  }

  visit(network: number): Visit {
    const { maxSteps, counter } = this.#rule
    if (this.counters[network] >= maxSteps) {
      if (counter === 'reset') this.counters[network] = 0
      this.ages[network] = 0
      return 'renew'
    }
    this.counters[network]++
    this.ages[network]++
    return 'train'
  }
}
