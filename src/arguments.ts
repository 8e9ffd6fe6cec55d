/** @file What callers pass to public functions: refused with what was expected, before it is used. */
import { AludelError, expected } from './errors.js'

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Letters and digits only, lower case: what a mistyped name is compared by. */
const canonical = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '')

/** Throws `invalid_option` unless `options` is an object whose every name is known: one that is mistyped would be left out in silence. */
export function checkOptions<T extends object>(what: string, options: T, known: Readonly<Record<keyof T, true>>): void {
  const names = Object.keys(known)
  if (!isRecord(options) || ArrayBuffer.isView(options)) {
    throw expected('invalid_option', `${what}: options`, `an object with ${names.join(', ')}`, options)
  }
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(known, name)) continue
    const meant = names.find((candidate) => canonical(candidate) === canonical(name))
    const todo = meant && `did you mean '${meant}'?`
    throw expected('invalid_option', what, `names among ${names.join(', ')}`, name, todo)
  }
}

/** Throws `invalid_option` unless `value` is a whole number from `least` up. */
export function wholeNumber(what: string, value: unknown, least = 1): number {
  if (!Number.isSafeInteger(value) || (value as number) < least) {
    throw expected('invalid_option', what, `a whole number >= ${least}`, value)
  }
  return value as number
}

/** A seed of the public API: records keep it as a JSON number. Throws `invalid_option`. */
export function checkSeed(what: string, seed: unknown): number {
  if (!Number.isSafeInteger(seed) || (seed as number) < 0) throw expected('invalid_option', what, 'a whole number in [0, 2^53)', seed)
  return seed as number
}

/** Throws `invalid_option` unless `signal` is absent or can be listened to. */
export function checkSignal(what: string, signal: unknown): void {
  if (signal === undefined) return
  const { aborted, addEventListener, removeEventListener } = (isRecord(signal) ? signal : {}) as Partial<AbortSignal>
  if (typeof aborted === 'boolean' && typeof addEventListener === 'function' && typeof removeEventListener === 'function') return
  throw expected('invalid_option', `${what}: signal`, 'an AbortSignal', signal, "give a controller's `signal`")
}

/** Throws `invalid_option` unless `callback` is absent or a function. */
export function checkCallback(what: string, callback: unknown): void {
  if (callback !== undefined && typeof callback !== 'function') throw expected('invalid_option', what, 'a function', callback)
}

/** Throws `invalid_option` unless `device` is what `openDevice` resolves with. */
export function checkDevice(what: string, device: unknown): void {
  const { array, load } = (isRecord(device) ? device : {}) as { readonly array?: unknown; readonly load?: unknown }
  if (typeof array === 'function' && typeof load === 'function') return
  const todo = device instanceof Promise ? 'await it first' : 'give one of openDevice()'
  throw expected('invalid_option', `${what}: device`, 'an open device', device, todo)
}

/** Throws `invalid_option` unless `path` is a text that can name a file. */
export function checkPath(what: string, path: unknown): void {
  if (typeof path !== 'string' || path === '') throw expected('invalid_option', what, 'a path', path)
  if (path.includes('\0')) throw new AludelError('invalid_option', `${what}: expected a path but received one with a NUL character`)
}

const longestJson = 80

/** A value of a JSON file as an error shows it: short, also when it nests so deeply that it cannot be written again. */
export function shownJson(value: unknown): string {
  try {
    return String(JSON.stringify(value)).slice(0, longestJson)
  } catch {
    return 'a value that nests too deeply'
  }
}
