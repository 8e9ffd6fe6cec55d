/** @file Options of one method: declared with their check, completed from a preset, refused with what was expected. All values are JSON. */
import { AludelError, expected } from '../errors.js'

/** null = not used. */
export type OptionValue = number | string | readonly number[] | null
export type MethodOptions = Readonly<Record<string, OptionValue>>

export interface OptionSpec<T extends OptionValue> {
  /** The symbol of the method's equation and what it does. */
  readonly doc: string
  /** What is accepted, for the error. */
  readonly wanted: string
  /** The value as the method takes it, or undefined when it is not one. */
  readonly parse: (value: unknown) => T | undefined
}

/** One entry per option; a method has no options beside these. */
export type OptionSpecs<O extends MethodOptions> = { readonly [K in keyof O]: OptionSpec<O[K]> }

const numberSpec = (wanted: string, holds: (value: number) => boolean, doc: string): OptionSpec<number> => ({
  doc,
  wanted,
  parse: (value) => (typeof value === 'number' && Number.isFinite(value) && holds(value) ? value : undefined),
})

export const positive = (doc: string): OptionSpec<number> => numberSpec('a number > 0', (x) => x > 0, doc)
export const notNegative = (doc: string): OptionSpec<number> => numberSpec('a number >= 0', (x) => x >= 0, doc)

export const count = (doc: string): OptionSpec<number> => numberSpec('a whole number >= 1', (x) => Number.isSafeInteger(x) && x >= 1, doc)

export const countOrZero = (doc: string): OptionSpec<number> =>
  numberSpec('a whole number >= 0', (x) => Number.isSafeInteger(x) && x >= 0, doc)

/** A whole number from 1 to `most`: what a trace unrolls is built before anything runs. */
export const countUpTo = (most: number, doc: string): OptionSpec<number> =>
  numberSpec(`a whole number from 1 to ${most}`, (x) => Number.isSafeInteger(x) && x >= 1 && x <= most, doc)

/** A whole number >= 1, or null for all there are. */
export const countOrAll = (doc: string): OptionSpec<number | null> => {
  const { parse } = count(doc)
  return { doc, wanted: "a whole number >= 1, or 'all'", parse: (value) => (value === null || value === 'all' ? null : parse(value)) }
}

/** What `spec` takes, or null while it is not used. */
export const orNone = <T extends number | string>({ doc, wanted, parse }: OptionSpec<T>): OptionSpec<T | null> => ({
  doc,
  wanted: `${wanted}, or 'none'`,
  parse: (value) => (value === null || value === 'none' ? null : parse(value)),
})

/** One of a few names. */
export const oneOf = <T extends string>(names: readonly T[], doc: string): OptionSpec<T> => ({
  doc,
  wanted: `one of ${names.join(', ')}`,
  parse: (value) => names.find((name) => name === value),
})

/** A number in [0, 1], or null while it is not used. */
export const fraction = (doc: string): OptionSpec<number | null> => {
  const { wanted, parse } = numberSpec('a number from 0 to 1', (x) => x >= 0 && x <= 1, doc)
  return { doc, wanted, parse: (value) => (value === null ? null : parse(value)) }
}

/** Numbers of network blocks or layers from 1 up, one or several; comes out ascending. An empty list, the method's own choice, is a preset's only. */
export const blockNumbers = (doc: string, what = 'block'): OptionSpec<readonly number[]> => ({
  doc,
  wanted: `different ${what} numbers from 1 up, such as 1,2`,
  parse(value) {
    const list: readonly unknown[] = Array.isArray(value) ? value : [value]
    const valid = list.length > 0 && list.every((n) => Number.isSafeInteger(n) && (n as number) >= 1)
    return valid && new Set(list).size === list.length ? [...(list as number[])].sort((a, b) => a - b) : undefined
  },
})

/** `given` over `defaults`. Throws `invalid_option` for an unknown name, listing the known ones, and for a value that does not fit. */
export function completeOptions<O extends MethodOptions>(
  method: string,
  specs: OptionSpecs<O>,
  defaults: O,
  given: Readonly<Record<string, unknown>> = {},
): O {
  const known = Object.keys(specs)
  const resolved: Record<string, OptionValue> = { ...defaults }
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(specs, name)) {
      const wanted = known.length > 0 ? `one of ${known.join(', ')}` : 'none, this method has no options of its own'
      throw new AludelError('invalid_option', `options of ${method}: expected ${wanted} but received '${name}'`)
    }
    if (value === undefined) continue
    const { wanted, parse } = specs[name as keyof O]
    const parsed = parse(value)
    if (parsed === undefined) throw expected('invalid_option', `${method} ${name}`, wanted, value)
    resolved[name] = parsed
  }
  return resolved as O
}
