/** @file How much is kept, and what that is of n samples: the two published ways of rounding, bit for bit. */
import { isRecord } from '../arguments.js'
import { expected } from '../errors.js'

/** Exactly one of the four. */
export interface Amount {
  /** Fraction kept, in (0, 1): as `drop` of 1 - keep, computed in float64. */
  readonly keep?: number
  /** Fraction dropped, in (0, 1): trunc(drop n) samples go, the product in float64 (BiLP). */
  readonly drop?: number
  /** Percentage kept, a whole number from 1 to 99: floor(keepPercent n / 100) samples stay (Moser et al.). */
  readonly keepPercent?: number
  /**
   * Of the samples in order, what should go first, those from trunc(from n) up to but not including trunc(to n) stay;
   * 0 <= from < to <= 1. Leaves out both ends, such as mislabelled samples.
   */
  readonly window?: readonly [from: number, to: number]
}

export type AmountRule =
  | { readonly kind: 'fraction'; readonly drop: number }
  | { readonly kind: 'percent'; readonly keepPercent: number }
  | { readonly kind: 'window'; readonly from: number; readonly to: number }

const names = ['keep', 'drop', 'keepPercent', 'window'] as const

/** Throws `invalid_option` unless one of the four is given, in its range. */
export function amountRule(what: string, amount: Amount): AmountRule {
  const given = names.filter((name) => amount[name] !== undefined)
  if (given.length !== 1) {
    const received = given.length === 0 ? 'none of them' : given.join(' and ')
    throw expected('invalid_option', what, `one of ${names.join(', ')}`, received, 'keep and drop say the same thing twice')
  }
  const { keep, drop, keepPercent, window } = amount
  if (window !== undefined) return windowRule(what, window)
  if (keepPercent !== undefined) {
    if (!Number.isInteger(keepPercent) || keepPercent < 1 || keepPercent > 99) {
      const todo = keepPercent === 100 ? '100 keeps everything: leave pruning out' : 'give a fraction as keep'
      throw expected('invalid_option', `${what}: keepPercent`, 'a whole number from 1 to 99', keepPercent, todo)
    }
    return { kind: 'percent', keepPercent }
  }
  const [name, value] = keep !== undefined ? (['keep', keep] as const) : (['drop', drop] as const)
  if (typeof value !== 'number' || !(value > 0 && value < 1)) {
    const all = value === (name === 'keep' ? 1 : 0)
    const todo = all ? 'nothing would go: leave pruning out' : 'percentages are keepPercent'
    throw expected('invalid_option', `${what}: ${name}`, 'a fraction in (0, 1)', value, todo)
  }
  return { kind: 'fraction', drop: name === 'keep' ? 1 - value : value }
}

function windowRule(what: string, window: readonly number[]): AmountRule {
  const [from, to] = Array.isArray(window) && window.length === 2 ? window : [Number.NaN, Number.NaN]
  if (!(from >= 0 && from < to && to <= 1))
    throw expected('invalid_option', `${what}: window`, '[from, to] with 0 <= from < to <= 1', window)
  if (from === 0 && to === 1) throw expected('invalid_option', `${what}: window`, 'one that leaves something out', window, 'or none')
  return { kind: 'window', from, to }
}

/** How many of n samples stay. */
export function keptCount(rule: AmountRule, n: number): number {
  if (rule.kind === 'percent') return Math.floor((rule.keepPercent * n) / 100)
  const [begin, end] = keptPlaces(rule, n)
  return end - begin
}

/** Places that stay in a list of n in which what should go stands left. */
export function keptPlaces(rule: Exclude<AmountRule, { kind: 'percent' }>, n: number): readonly [begin: number, end: number] {
  if (rule.kind === 'fraction') return [Math.trunc(rule.drop * n), n]
  return [Math.trunc(rule.from * n), Math.trunc(rule.to * n)]
}

/** Whether a value of a file is a rule that `amountRule` can give. */
export function isAmountRule(value: unknown): value is AmountRule {
  if (!isRecord(value)) return false
  const { kind, drop, keepPercent, from, to } = value as Readonly<Record<string, number | string>>
  if (kind === 'fraction') return isPart(drop) && drop > 0 && drop < 1
  if (kind === 'percent') return Number.isInteger(keepPercent) && isPart(Number(keepPercent) / 100)
  return kind === 'window' && isPart(from) && isPart(to) && from < to
}

const isPart = (value: unknown): value is number => typeof value === 'number' && value >= 0 && value <= 1
