/** @file Work of a command that ctrl-c ends in order. */
import { AbortError } from '../errors.js'
import { asUsageError } from './exit-codes.js'
import { listenForInterrupt } from './interrupt.js'

/**
 * Runs `work`. The first ctrl-c calls `onInterrupt` and aborts the signal; whatever `work` then throws becomes an AbortError, as an interrupted
 * command ends, once `onEnd` was called.
 */
export async function interruptible<T>(onInterrupt: () => void, work: (signal: AbortSignal) => Promise<T>, onEnd?: () => void): Promise<T> {
  const abort = new AbortController()
  const interrupt = listenForInterrupt(() => {
    onInterrupt()
    abort.abort()
  })
  try {
    return await work(abort.signal)
  } catch (error) {
    if (!abort.signal.aborted) throw asUsageError(error)
    onEnd?.()
    throw new AbortError('interrupted')
  } finally {
    interrupt.remove()
  }
}
