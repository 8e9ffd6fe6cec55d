/**
 * @file Which samples of a real batch a step uses (BiLP, Xu et al. 2024, arXiv 2305.18381, its second stage): those whose treatment effect is
 * neither among the smallest, which teach nothing, nor among the largest, which are outliers. The paper gives the idea; the rule is ours.
 */
import { expected } from '../../errors.js'
import { normalQuantile } from './normal-quantile.js'

export interface DynamicRuleOptions {
  /** Share of the distribution of effects that is dropped at its lower end. */
  readonly betaLow: number
  /** And at its upper end. */
  readonly betaHigh: number
  /** Steps from one look at the effects to the next. */
  readonly every: number
  /**
   * 'moments': thresholds are quantiles of a normal distribution with the running mean and variance of the effects. 'rank': no distribution
   * is assumed, the smallest and the largest of each class batch go.
   */
  readonly mode: 'moments' | 'rank'
  /** Running moments that forget, or that weigh every effect alike. */
  readonly statistics: 'ema' | 'cumulative'
  /** Weight of the newest batch under 'ema'. */
  readonly momentum: number
  /** One distribution for all classes, or one each. */
  readonly scope: 'global' | 'class'
}

/** A real batch: class c has `counts[c]` rows of the data set from place c * perClass on. */
export interface BatchDraw {
  readonly rows: Int32Array
  readonly perClass: number
  readonly counts: Int32Array
}

export interface Selection {
  /** Places of the batch that the step uses, by class, in the order of the batch. */
  readonly used: readonly (readonly number[])[]
  /** Classes whose samples were all masked, so that all of them are used. */
  readonly fallbacks: readonly number[]
}

/** Mean and population variance of the effects seen, and the thresholds that follow. */
export interface EffectStatistics {
  readonly count: number
  readonly mean: number
  readonly variance: number
  readonly low: number
  readonly high: number
}

/** Numbers kept per distribution: count, mean, variance. */
export const momentFields = 3

export class DynamicRule {
  /** 1: left out until its effect is looked at again. One for each sample of the data set; state of the run. */
  readonly masked: Uint8Array
  /** Count, mean and variance of each distribution; state of the run. */
  readonly moments: Float64Array
  readonly #options: DynamicRuleOptions
  readonly #quantiles: readonly [number, number]

  constructor(options: DynamicRuleOptions, samples: number, classes: number) {
    this.#options = options
    this.#quantiles = [normalQuantile(options.betaLow), normalQuantile(1 - options.betaHigh)]
    this.masked = new Uint8Array(samples)
    this.moments = new Float64Array(momentFields * (options.scope === 'global' ? 1 : classes))
  }

  /** Whether the effects of a step's batch are looked at. */
  looks(step: number): boolean {
    return step % this.#options.every === 0
  }

  /** Whether every effect is a number; those of places beyond the counts mean nothing. */
  isFinite(draw: BatchDraw, effects: Float64Array | Float32Array): boolean {
    return placesByClass(draw).every((places) => places.every((place) => Number.isFinite(effects[place])))
  }

  /**
   * Takes the effects of a batch, by place; places beyond the counts mean nothing. Throws `not_finite` naming the sample.
   */
  look(draw: BatchDraw, effects: Float64Array | Float32Array): void {
    const classes = placesByClass(draw)
    for (const place of classes.flat()) {
      if (!Number.isFinite(effects[place]))
        throw expected('not_finite', `treatment effect of sample ${draw.rows[place]}`, 'a finite number', effects[place])
    }
    if (this.#options.mode === 'rank') for (const places of classes) this.#rank(draw, places, effects)
    else if (this.#options.scope === 'global') this.#threshold(draw, classes.flat(), effects, 0)
    else for (const [c, places] of classes.entries()) this.#threshold(draw, places, effects, c)
  }

  /** The samples of a batch that are not masked; all of a class where none is left. */
  select(draw: BatchDraw): Selection {
    const fallbacks: number[] = []
    const used = placesByClass(draw).map((places, c) => {
      const left = places.filter((place) => this.masked[draw.rows[place]] === 0)
      if (left.length > 0) return left
      fallbacks.push(c)
      return places
    })
    return { used, fallbacks }
  }

  /** Of distribution `key`: 0, or the class under scope 'class'. */
  statistics(key = 0): EffectStatistics {
    const [count, mean, variance] = this.moments.subarray(key * momentFields, (key + 1) * momentFields)
    const deviation = Math.sqrt(variance)
    // 0 * Infinity: a tail of 0 drops nothing, whatever the spread
    const [low, high] = this.#quantiles.map((z) => (Number.isFinite(z) ? mean + z * deviation : z))
    return { count, mean, variance, low, high }
  }

  #threshold({ rows }: BatchDraw, places: readonly number[], effects: Float64Array | Float32Array, key: number): void {
    this.#update(
      places.map((place) => effects[place]),
      key,
    )
    const { low, high } = this.statistics(key)
    for (const place of places) this.masked[rows[place]] = effects[place] >= low && effects[place] <= high ? 0 : 1
  }

  #update(effects: readonly number[], key: number): void {
    const moments = this.moments.subarray(key * momentFields, (key + 1) * momentFields)
    const [count, mean, variance] = moments
    const added = effects.length
    const own = effects.reduce((sum, a) => sum + a, 0) / added
    const spread = effects.reduce((sum, a) => sum + (a - own) ** 2, 0) / added
    const { statistics, momentum } = this.#options
    if (count === 0) moments.set([added, own, spread])
    else if (statistics === 'ema')
      moments.set([count + added, (1 - momentum) * mean + momentum * own, (1 - momentum) * variance + momentum * spread])
    else {
      const total = count + added
      const apart = own - mean
      moments.set([
        total,
        mean + (apart * added) / total,
        (count * variance + added * spread) / total + (apart * apart * count * added) / (total * total),
      ])
    }
  }

  #rank({ rows }: BatchDraw, places: readonly number[], effects: Float64Array | Float32Array): void {
    const { betaLow, betaHigh } = this.#options
    const order = [...places].sort((a, b) => effects[a] - effects[b])
    const from = Math.trunc(betaLow * places.length)
    const to = places.length - Math.trunc(betaHigh * places.length)
    for (const [rank, place] of order.entries()) this.masked[rows[place]] = rank >= from && rank < to ? 0 : 1
  }
}

const placesByClass = ({ counts, perClass }: BatchDraw): number[][] =>
  Array.from(counts, (count, c) => Array.from({ length: count }, (_, i) => c * perClass + i))
