/** @file Native failures as this package's errors. */
import { AbortError, AludelError, type ErrorCode } from '../../errors.js'
import type { NativeError } from './native-types.js'

const codes: Readonly<Record<Exclude<NativeError['code'], 'cancelled'>, ErrorCode>> = {
  invalid_program: 'invalid_program',
  invalid_argument: 'invalid_option',
  invalid_index: 'invalid_index',
  out_of_memory: 'out_of_memory',
  unavailable: 'unavailable',
  device_lost: 'device_lost',
  internal: 'internal',
  disposed: 'disposed',
}

/**
 * The error to throw for a failure that came out of the addon. `stack` is that of the caller, taken before the work went to another
 * thread; a cancelled run becomes an AbortError with the signal's reason.
 */
export function fromNative(failure: unknown, what: string, options: { reason?: unknown; site?: Error } = {}): Error {
  const native = failure as Partial<NativeError>
  if (!(failure instanceof Error) || native.code === undefined)
    return failure instanceof Error ? failure : new AludelError('internal', String(failure))
  if (native.code === 'cancelled') return new AbortError(options.reason)
  const error = new AludelError(codes[native.code] ?? 'internal', `${what}: ${native.message}`)
  const site = options.site?.stack
  if (site !== undefined) error.stack = `${error.name}: ${error.message}\n${site.split('\n').slice(1).join('\n')}`
  return error
}
