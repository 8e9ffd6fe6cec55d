/** @file The orders in which a rule puts the samples of a group, by name. */
import type { Device } from '../engine/runtime/device.js'
import { inPieces, Turn } from '../event-loop.js'
import { craig } from '../scores/craig.js'
import { gradMatch } from '../scores/grad-match.js'
import { type GradientFactors, takeGradients } from '../scores/gradient-factors.js'
import { herd } from '../scores/herding.js'
import { kCenterGreedy } from '../scores/k-center.js'
import { type Matrix, takeRows } from '../scores/matrix.js'
import { medianDistance } from '../scores/moderate.js'
import type { WeightedPick } from '../scores/pick.js'
import { drawUniform } from '../scores/uniform.js'
import { keptCount, keptPlaces } from './amount.js'
import { rankByCoverage } from './ccs.js'
import type { FeatureOrder, Order, SelectRule } from './options.js'
import type { Ranked } from './ranked.js'
import { stableOrder } from './stable-order.js'

/** What is to be ranked: a class, or all samples. */
export interface Group {
  readonly part: string
  /** Ascending. */
  readonly rows: Int32Array
}

export interface RankInput {
  readonly rule: SelectRule
  /** What samples are ordered by, of all of them: `sortKeys`. */
  readonly keys: Float64Array
  readonly features?: Matrix
  /** In place of them for orders by gradients. */
  readonly gradients?: GradientFactors
  /** Where orders by features are computed. */
  readonly device?: Device
  /** Where weights of chosen rows go. */
  readonly weights: Map<number, number>
}

type Rank = (group: Group, input: RankInput) => Promise<Ranked>

/**
 * Keys by which groups are sorted in ascending order. Percentages keep the first of the order of scores, or the last of the same.
 * Fractions keep the right end, for which scores are negated to drop large ones: equal scores then drop the lower row either way.
 */
export async function sortKeys(
  rule: SelectRule,
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  classes: number,
): Promise<Float64Array> {
  const { order, amount, ccs } = rule
  const turn = new Turn()
  const keys = order === 'moderate' ? await medianDistance(scores, labels, { classes }) : await copied(scores, turn)
  const negate = order === 'ccs' ? ccs?.hardest === 'smallest' : order !== 'desc' && amount.kind !== 'percent'
  if (!negate) return keys
  await inPieces(keys.length, turn, (from, to) => {
    for (let row = from; row < to; row++) keys[row] = -keys[row]
  })
  return keys
}

async function copied(scores: ArrayLike<number>, turn: Turn): Promise<Float64Array> {
  const keys = new Float64Array(scores.length)
  await inPieces(keys.length, turn, (from, to) => {
    for (let row = from; row < to; row++) keys[row] = scores[row]
  })
  return keys
}

const byScore: Rank = async ({ rows }, { rule, keys }) => stretch(rule, await stableOrder(rows, keys))

/** What stays of an order. */
function stretch(rule: SelectRule, list: Int32Array): Ranked {
  const n = list.length
  const { amount } = rule
  if (amount.kind !== 'percent') {
    const [begin, end] = keptPlaces(amount, n)
    return { list, begin, end, next: 'left' }
  }
  const count = keptCount(amount, n)
  return rule.order === 'desc' ? { list, begin: n - count, end: n, next: 'left' } : { list, begin: 0, end: count, next: 'right' }
}

const random: Rank = async ({ rows, part }, { rule }) => {
  const list = await drawUniform(rows.length, rows.length, rule.seed ?? 0, part)
  await inPieces(list.length, new Turn(), (from, to) => {
    for (let i = from; i < to; i++) list[i] = rows[list[i]]
  })
  return stretch(rule, list)
}

const coverage: Rank = ({ rows, part }, { rule: { amount, seed, ccs }, keys }) =>
  rankByCoverage({ rows, part, count: keptCount(amount, rows.length), seed: seed ?? 0 }, keys, ccs as NonNullable<typeof ccs>)

type Picked = Pick<WeightedPick, 'indices'> | WeightedPick

/** Chooses `count` of the given rows. */
const pickers: Readonly<Record<FeatureOrder, (input: RankInput, rows: Int32Array, count: number) => Promise<Picked>>> = {
  herding: async (input, rows, count) => ({ indices: await herd(featuresOf(input, rows), count, placeOf(input)) }),
  kCenter: (input, rows, count) => kCenterGreedy(featuresOf(input, rows), count, placeOf(input)),
  craig: (input, rows, count) => craig(gradientsOf(input, rows), count, placeOf(input)),
  gradMatch: (input, rows, count) => gradMatch(gradientsOf(input, rows), count),
}

const placeOf = ({ device }: RankInput) => (device ? { device } : {})
const featuresOf = ({ features }: RankInput, rows: Int32Array): Matrix => takeRows(features as Matrix, rows)
const gradientsOf = ({ features, gradients }: RankInput, rows: Int32Array) => takeGradients(gradients ?? (features as Matrix), rows)

/** Chooses as many as a raised count needs: weights depend on the whole set. */
const byFeatures =
  (order: FeatureOrder): Rank =>
  async ({ rows }, input) => {
    const { amount, minimumPerClass } = input.rule
    const end = keptCount(amount, rows.length)
    const count = Math.min(rows.length, Math.max(end, minimumPerClass))
    const pick = await pickers[order](input, rows, count)
    const list = pick.indices.map((i) => rows[i])
    if ('weights' in pick) for (const [i, row] of list.entries()) input.weights.set(row, pick.weights[i])
    return { list, begin: 0, end, next: 'right' }
  }

export const ranks: Readonly<Record<Order, Rank>> = {
  asc: byScore,
  desc: byScore,
  moderate: byScore,
  ccs: coverage,
  random,
  herding: byFeatures('herding'),
  kCenter: byFeatures('kCenter'),
  craig: byFeatures('craig'),
  gradMatch: byFeatures('gradMatch'),
}
