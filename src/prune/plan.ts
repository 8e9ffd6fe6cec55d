/** @file Pruning as the first stage of a run: what is chosen by what, with nothing left out, and refused before anything is computed. */
import { checkOptions, checkSeed, isRecord, wholeNumber } from '../arguments.js'
import type { Dataset } from '../data/dataset.js'
import { AludelError, expected } from '../errors.js'
import { scoreInfo, scoreNames } from '../scores/index.js'
import type { ScoreName } from '../scores/registry.js'
import { type Amount, amountRule, keptCount } from './amount.js'
import { defaultShare, type ShareContext } from './default-share.js'
import type { ScoreOrder, SelectOptions } from './options.js'

/** What the user says of pruning. */
export interface PruneChoice extends Amount {
  /** Name of the score, or 'random'. */
  readonly kind: string
  /** Default: the easy end of the score. */
  readonly order?: Exclude<ScoreOrder, 'ccs'>
  readonly scope?: 'class' | 'global'
  /** Images that every class keeps at least; default 1, or `ipc` where synthetic images start from real ones. */
  readonly minimum?: number
  /** Of 'random'; default that of the run. */
  readonly seed?: number
}

export interface PruneContext extends ShareContext {
  readonly init: 'real' | 'noise' | 'predicted'
  /** Of the run. */
  readonly seed: number
}

/** All of it, as run.json keeps it. */
export interface PrunePlan {
  readonly kind: string
  readonly order: Exclude<ScoreOrder, 'ccs'> | 'random'
  readonly scope: 'class' | 'global'
  readonly minimum: number
  readonly seed: number | null
  readonly amount: Amount
  /** Where the amount comes from when the user gave none. */
  readonly amountFrom: string | null
}

const known: Readonly<Record<keyof PruneChoice, true>> = {
  ...{ kind: true, order: true, scope: true, minimum: true, seed: true },
  ...{ keep: true, drop: true, keepPercent: true, window: true },
}

/** BiLP's indicators: losses, and an accuracy. */
const easyEndOfBilp: Readonly<Record<string, 'low' | 'high'>> = { LossInit: 'low', LossConverge: 'low', MonteCarlo: 'high' }

function easyEnd(kind: string): 'low' | 'high' | undefined {
  if (Object.hasOwn(easyEndOfBilp, kind)) return easyEndOfBilp[kind]
  return scoreNames.includes(kind as ScoreName) ? scoreInfo(kind as ScoreName).easy : undefined
}

const keepsAll = ({ keep, drop, keepPercent, window }: Amount): boolean =>
  keep === 1 || drop === 0 || keepPercent === 100 || (Array.isArray(window) && window[0] === 0 && window[1] === 1)

/**
 * The plan of a choice; undefined where everything stays, which is a run without pruning. Throws `invalid_option` for keep and drop at once,
 * a share of 0, a class that would be emptied or keep fewer images than `ipc`: all before a score is computed.
 */
export function planPruning(
  data: Pick<Dataset, 'classes' | 'classIndices'>,
  choice: PruneChoice,
  context: PruneContext,
): PrunePlan | undefined {
  const what = 'prune'
  if (!isRecord(choice)) throw expected('invalid_option', what, '{ kind, … }', choice)
  checkOptions<PruneChoice>(what, choice, known)
  const { kind, scope = 'class', seed = context.seed } = choice
  const random = kind === 'random'
  const easy = easyEnd(kind)
  const order = random ? 'random' : (choice.order ?? (easy === undefined ? undefined : easy === 'low' ? 'asc' : 'desc'))
  if (order === undefined) {
    const todo = 'of another score say which end stays, with order'
    throw expected('invalid_option', what, `random or one of ${scoreNames.join(', ')}`, kind, todo)
  }
  if (random && choice.order !== undefined) throw expected('invalid_option', `${what}: order`, 'none for random', choice.order)
  if (!['asc', 'desc', 'moderate', 'random'].includes(order))
    throw expected('invalid_option', `${what}: order`, "asc, desc or moderate; 'asc' keeps the smallest scores", order)
  if (!random && choice.seed !== undefined) throw expected('invalid_option', `${what}: seed`, 'none where scores choose', choice.seed)
  const given = Object.fromEntries(
    (['keep', 'drop', 'keepPercent', 'window'] as const).flatMap((name) => (choice[name] === undefined ? [] : [[name, choice[name]]])),
  ) as Amount
  const { amount, from } = Object.keys(given).length > 0 ? { amount: given, from: null } : defaultShare(context)
  if (Object.keys(amount).length === 1 && keepsAll(amount)) return undefined
  amountRule(what, amount)
  if (scope !== 'class' && scope !== 'global') throw expected('invalid_option', `${what}: scope`, "'class' or 'global'", scope)
  const minimum = wholeNumber(`${what}: minimum`, choice.minimum ?? (context.init === 'noise' ? 1 : context.ipc), 0)
  const plan: PrunePlan = {
    ...{ kind, order, scope, minimum, amount },
    seed: random ? checkSeed(`${what}: seed`, seed) : null,
    amountFrom: from,
  }
  checkCounts(data, plan, context.ipc)
  return plan
}

/** The counts of a share of every class are known without a score. */
function checkCounts({ classes, classIndices }: Pick<Dataset, 'classes' | 'classIndices'>, plan: PrunePlan, ipc: number): void {
  const rule = amountRule('prune', plan.amount)
  for (const [c, name] of classes.entries()) {
    const count = classIndices(c).length
    if (count < plan.minimum)
      throw expected('invalid_option', `prune: class '${name}'`, `at least ${plan.minimum} images`, count, 'lower minimum or ipc')
    if (plan.scope === 'class') checkKept(name, count, Math.max(keptCount(rule, count), plan.minimum), ipc)
  }
}

function checkKept(name: string, count: number, kept: number, ipc: number): void {
  if (kept === 0) throw new AludelError('invalid_option', `prune: class '${name}' would keep none of its ${count} images; keep more`)
  if (kept >= ipc) return
  const say = `class '${name}' would keep ${kept} of its ${count} images, fewer than the ${ipc} synthetic ones`
  throw new AludelError('invalid_option', `prune: ${say}; keep more, or give minimum=${ipc}`)
}

/** Throws `invalid_option` for a class that has fewer images left than `ipc`. */
export function checkKeptCounts(classes: readonly string[], counts: ArrayLike<number>, ipc: number): void {
  for (const [c, name] of classes.entries()) {
    if (counts[c] >= ipc) continue
    const say = `class '${name}' keeps ${counts[c]} images, fewer than the ${ipc} synthetic ones`
    throw new AludelError('invalid_option', `prune: ${say}; keep more, or give minimum=${ipc}`)
  }
}

/** What `selectSamples` takes. */
export const selectionOptions = (
  { order, scope, minimum, seed, amount }: PrunePlan,
  scores: ArrayLike<number> | undefined,
): SelectOptions => ({
  ...{ order, scope, minimumPerClass: minimum },
  ...amount,
  ...(seed !== null && { seed }),
  ...(scores && { scores }),
})
