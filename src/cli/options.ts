/** @file Option values: text to numbers and lists, refused with the reason. */
import { InvalidArgumentError } from 'commander'
import type { DynamicPruning, Shard } from '../experiment/types.js'
import type { PruneChoice } from '../prune/plan.js'

/** A parser of whole numbers >= `minimum`. */
export const wholeNumber =
  (minimum: number) =>
  (text: string): number => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isSafeInteger(value) || value < minimum)
      throw new InvalidArgumentError(`expected a whole number >= ${minimum}.`)
    return value
  }

/** A path that names something; an unset variable of the shell gives none. */
export function nonEmptyPath(text: string): string {
  if (text === '') throw new InvalidArgumentError('expected a path.')
  return text
}

export function positiveNumber(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('expected a number > 0.')
  return value
}

const byteUnits: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 }

/** A number >= 0. */
export function amount(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) throw new InvalidArgumentError('expected a number >= 0.')
  return value
}

/** Bytes as 8G, 512M or a plain number; units are powers of 1024. */
export function byteCount(text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?$/i.exec(text) ?? []
  const bytes = digits === undefined ? 0 : Math.floor(Number(digits) * byteUnits[unit.toUpperCase()])
  if (!Number.isSafeInteger(bytes) || bytes < 1) throw new InvalidArgumentError('expected a size such as 8G or 512M.')
  return bytes
}

/**
 * `key=value` of a repeatable option, added to those before: numbers become numbers, commas make lists. What a key may be, and its
 * value, is the method's to say. A key given twice is an error.
 */
export function assignment(text: string, before: Readonly<Record<string, OptionText>> = {}): Record<string, OptionText> {
  const [, key, value] = /^([^=]+)=(.+)$/s.exec(text) ?? []
  if (key === undefined || value === undefined) throw new InvalidArgumentError('expected key=value.')
  if (Object.hasOwn(before, key)) throw new InvalidArgumentError(`'${key}' is given twice.`)
  const parts = value.split(',').map(numberOrText)
  return { ...before, [key]: parts.length === 1 ? parts[0] : parts }
}

const pruneKeys = ['keep', 'drop', 'keepPercent', 'window', 'order', 'scope', 'minimum', 'seed'] as const
const scoringKeys = ['network', 'runs', 'epochs'] as const

/** What a run chooses its images by, and the networks that score where no scores are given. */
export interface PruneText {
  readonly choice: PruneChoice
  readonly scoring: { readonly network?: string; readonly runs?: number; readonly epochs?: number }
}

/** 'loss', 'random:keep=0.1', 'el2n:keepPercent=20,order=desc', 'loss:window=0.1:0.9,runs=3,epochs=2': what a run chooses its images by. */
export function pruneChoice(text: string): PruneText {
  const [, kind = '', settings] = /^([^:]*)(?::(.+))?$/s.exec(text) ?? []
  if (kind === '') throw new InvalidArgumentError('expected a score or random, or KIND:key=value,… with what is not to be the default.')
  const values = (settings?.split(',') ?? []).reduce<Record<string, OptionText>>((before, part) => assignment(part, before), {})
  const known: readonly string[] = [...pruneKeys, ...scoringKeys]
  const unknown = Object.keys(values).find((key) => !known.includes(key))
  if (unknown !== undefined) throw new InvalidArgumentError(`'${unknown}' is none of ${known.join(', ')}.`)
  const { window, network, runs, epochs, ...rest } = values
  const ends = window === undefined ? undefined : String(window).split(':').map(numberOrText)
  const choice = { kind, ...rest, ...(ends && { window: ends }) } as unknown as PruneChoice
  return { choice, scoring: given({ network, runs, epochs }) as PruneText['scoring'] }
}

/** 'bilp', or 'bilp:betaLow=0.05,every=10': the settings of dynamic pruning. 'off' is a run without it. */
export function dynamicPruning(text: string): DynamicPruning | 'off' {
  if (text === 'off') return text
  const [, name, settings] = /^([^:]*)(?::(.+))?$/s.exec(text) ?? []
  if (name !== 'bilp')
    throw new InvalidArgumentError("expected off, bilp, or bilp:key=value,… with the settings that are not to be the defaults'.")
  return (settings?.split(',') ?? []).reduce<Record<string, OptionText>>((before, part) => assignment(part, before), {})
}

/** 'i/N': part i of N, counted from 1. */
export function shardOption(text: string): Shard {
  const [, part, of] = /^(\d+)\/(\d+)$/.exec(text) ?? []
  const shard = { index: Number(part), of: Number(of) }
  if (part === undefined || shard.index < 1 || shard.index > shard.of)
    throw new InvalidArgumentError('expected i/N with 1 <= i <= N, such as 2/7.')
  return shard
}

export type OptionText = number | string | readonly (number | string)[]

function numberOrText(text: string): number | string {
  const value = Number(text)
  return text.trim() === '' || Number.isNaN(value) ? text : value
}

/** Numbers separated by commas. */
export function numberList(text: string): number[] {
  const numbers = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)))
  if (!numbers.every(Number.isFinite)) throw new InvalidArgumentError('expected numbers separated by commas.')
  return numbers
}

/** A number > 0, or a quotient such as 1/255. */
export function factor(text: string): number {
  const [above, below = '1', ...more] = text.split('/')
  if (more.length > 0) throw new InvalidArgumentError('expected a number > 0, or a quotient such as 1/255.')
  return positiveNumber(above) / positiveNumber(below)
}

/** Names separated by commas. */
export function nameList(text: string): string[] {
  const names = text.split(',').map((name) => name.trim())
  if (names.some((name) => name === '')) throw new InvalidArgumentError('expected names separated by commas.')
  return names
}

/** The entries whose value was given: what an options object with exact optional properties takes. */
export function given<T extends object>(values: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
}

/** The flag of an option by its name in code: 'realBatch' is '--real-batch'. */
export const flagOf = (option: string): string => `--${option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
