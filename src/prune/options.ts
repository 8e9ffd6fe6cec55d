/** @file What a selection is asked for, checked before anything is computed. */
import { checkDevice, checkOptions, checkSeed, isRecord, wholeNumber } from '../arguments.js'
import type { Device } from '../engine/runtime/device.js'
import { expected } from '../errors.js'
import { type GradientFactors, gradientRows, rowCount } from '../scores/gradient-factors.js'
import { checkFiniteMatrix, type Matrix } from '../scores/matrix.js'
import { checkFiniteInTurns } from '../scores/score.js'
import { type Amount, type AmountRule, amountRule } from './amount.js'

/** 'asc' keeps the smallest scores, 'desc' the largest, 'moderate' those nearest to the median of their class. */
export type ScoreOrder = 'asc' | 'desc' | 'moderate' | 'ccs'
export type FeatureOrder = 'herding' | 'kCenter' | 'craig' | 'gradMatch'
export type Order = ScoreOrder | FeatureOrder | 'random'

const scoreOrders: readonly Order[] = ['asc', 'desc', 'moderate', 'ccs']
const featureOrders: readonly Order[] = ['herding', 'kCenter', 'craig', 'gradMatch']
export const orders: readonly Order[] = [...scoreOrders, ...featureOrders, 'random']

/** Coverage-centric selection (Zheng et al., 2210.15809). */
export interface CcsOptions {
  /** Which end of the score is hard: 'largest' for losses. */
  readonly hardest: 'largest' | 'smallest'
  /** Share of the hardest samples that goes first, as mislabelled: trunc(cutoff n); in [0, 1), default 0.1. */
  readonly cutoff?: number
  /** Equal parts of the range of what is left, at most 65536; default 50. */
  readonly bins?: number
}

export interface SelectOptions extends Amount {
  readonly order: Order
  /** One number per sample, for 'asc', 'desc', 'moderate' and 'ccs'. */
  readonly scores?: ArrayLike<number>
  /** [samples, width], for 'herding' and 'kCenter'; gradients of the last layer for 'craig' and 'gradMatch'. */
  readonly features?: Matrix
  /** For 'craig' and 'gradMatch' in place of `features`: the factors of the gradients of a last linear layer, which take far less memory. */
  readonly gradients?: GradientFactors
  /** Where orders by float32 features are computed; what is kept is the same without it, only later. */
  readonly device?: Device
  /** 'class' (default): of every class the same share. 'global': of all samples; not for orders by features. */
  readonly scope?: 'class' | 'global'
  /** Samples that every class keeps at least; default 1. Counts below are raised and reported. */
  readonly minimumPerClass?: number
  /** Of 'random' and 'ccs'; default 0. */
  readonly seed?: number
  /** Of order 'ccs'. */
  readonly ccs?: CcsOptions
}

/** The rule of a selection with nothing left out: what a record of it holds. */
export interface SelectRule {
  readonly order: Order
  readonly scope: 'class' | 'global'
  readonly amount: AmountRule
  readonly minimumPerClass: number
  /** null where nothing is drawn. */
  readonly seed: number | null
  readonly ccs: Required<CcsOptions> | null
}

const mostBins = 65_536

const known: Readonly<Record<keyof SelectOptions, true>> = {
  ...{ keep: true, drop: true, keepPercent: true, window: true },
  ...{
    order: true,
    scores: true,
    features: true,
    gradients: true,
    device: true,
    scope: true,
    minimumPerClass: true,
    seed: true,
    ccs: true,
  },
}

/** Throws `invalid_option`, `invalid_data` (another number of scores or features than `samples`), `invalid_shape`, `detached`, `not_finite`. */
export async function checkSelectOptions(what: string, options: SelectOptions, samples: number): Promise<SelectRule> {
  checkOptions<SelectOptions>(what, options, known)
  const { order, scores, features, gradients, scope = 'class', minimumPerClass = 1, seed = 0, ccs } = options
  if (!orders.includes(order))
    throw expected('invalid_option', `${what}: order`, orders.join(', '), order, "'asc' keeps the smallest scores")
  if (options.device !== undefined) checkDevice(`${what}: device`, options.device)
  const amount = amountRule(what, options)
  if (scope !== 'class' && scope !== 'global') throw expected('invalid_option', `${what}: scope`, "'class' or 'global'", scope)
  wholeNumber(`${what}: minimumPerClass`, minimumPerClass, 0)
  checkSeed(`${what}: seed`, seed)
  const byScore = scoreOrders.includes(order)
  const byFeatures = featureOrders.includes(order)
  if ((scores !== undefined) !== byScore)
    throw expected('invalid_option', what, `${byScore ? '' : 'no '}scores with order '${order}'`, scores)
  const byGradients = order === 'craig' || order === 'gradMatch'
  if (gradients !== undefined && (!byGradients || features !== undefined))
    throw expected('invalid_option', `${what}: gradients`, "nothing but with order 'craig' or 'gradMatch' and without features", gradients)
  if ((features !== undefined || gradients !== undefined) !== byFeatures)
    throw expected('invalid_option', what, `${byFeatures ? '' : 'no '}features with order '${order}'`, features)
  if (scores) await checkScores(what, scores, samples)
  if (features) {
    await checkFiniteMatrix(`${what}: features`, features)
    if (features.shape[0] !== samples) throw expected('invalid_data', `${what}: features`, `${samples} rows`, features.shape[0])
  }
  if (gradients) {
    await gradientRows(`${what}: gradients`, gradients)
    if (rowCount(gradients) !== samples) throw expected('invalid_data', `${what}: gradients`, `${samples} rows`, rowCount(gradients))
  }
  if (byFeatures && scope === 'global') throw expected('invalid_option', `${what}: scope`, `'class' with order '${order}'`, scope)
  if (amount.kind === 'window' && (byFeatures || order === 'ccs'))
    throw expected('invalid_option', `${what}: window`, `keep, drop or keepPercent with order '${order}'`, options.window)
  if ((ccs !== undefined) !== (order === 'ccs'))
    throw expected('invalid_option', `${what}: ccs`, "settings with order 'ccs', and only there", ccs)
  const drawn = order === 'random' || order === 'ccs'
  return { order, scope, amount, minimumPerClass, seed: drawn ? seed : null, ccs: ccs === undefined ? null : checkCcs(what, ccs) }
}

async function checkScores(what: string, scores: ArrayLike<number>, samples: number): Promise<void> {
  if (!Array.isArray(scores) && !ArrayBuffer.isView(scores))
    throw expected('invalid_option', `${what}: scores`, 'a list of numbers', scores)
  if (scores.length !== samples) {
    const todo = 'they belong to another data set, or to a part of this one'
    throw expected('invalid_data', `${what}: scores`, `${samples}, one for each sample`, scores.length, todo)
  }
  await checkFiniteInTurns(`${what}: scores`, scores)
}

function checkCcs(what: string, ccs: CcsOptions): Required<CcsOptions> {
  if (!isRecord(ccs)) throw expected('invalid_option', `${what}: ccs`, '{ hardest, cutoff, bins }', ccs)
  checkOptions<CcsOptions>(`${what}: ccs`, ccs, { hardest: true, cutoff: true, bins: true })
  const { hardest, cutoff = 0.1, bins = 50 } = ccs as CcsOptions
  if (hardest !== 'largest' && hardest !== 'smallest')
    throw expected('invalid_option', `${what}: ccs.hardest`, "'largest' or 'smallest'", hardest, "losses: 'largest'")
  if (typeof cutoff !== 'number' || !(cutoff >= 0 && cutoff < 1))
    throw expected('invalid_option', `${what}: ccs.cutoff`, 'a share in [0, 1)', cutoff)
  if (wholeNumber(`${what}: ccs.bins`, bins) > mostBins) throw expected('invalid_option', `${what}: ccs.bins`, `at most ${mostBins}`, bins)
  return { hardest, cutoff, bins }
}
