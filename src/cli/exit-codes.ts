/** @file Exit codes of every command, and which error ends with which. */
import { CommanderError } from 'commander'
import { AbortError, AludelError, isMissing } from '../errors.js'

export const exitCode = {
  /** The command did what it was asked to. */
  success: 0,
  /** It failed: missing or damaged files, no memory, a loss that is not finite. */
  failure: 1,
  /** It was called wrongly: unknown command, bad or missing option. Nothing was started. */
  usage: 2,
  /** Ctrl-C, SIGTERM or SIGHUP; what was reached has been saved where that was possible. */
  interrupted: 130,
} as const

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCode.success : exitCode.usage
  if (error instanceof AludelError) return error.code === 'invalid_option' ? exitCode.usage : exitCode.failure
  return error instanceof AbortError ? exitCode.interrupted : exitCode.failure
}

/** Names that do not exist are options given wrongly when they are found before anything has started; files that do not exist stay missing files. */
export function asUsageError(error: unknown): unknown {
  return error instanceof AludelError && error.code === 'not_found' && !isMissing(error.cause)
    ? new AludelError('invalid_option', error.message, { cause: error })
    : error
}
