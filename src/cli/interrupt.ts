/** @file Ctrl-C, a request to end, a closed terminal: the first ends the work in order, the second ends the process at once. */
import { exitCode } from './exit-codes.js'

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export interface Interrupt {
  /** Whether a signal has come. */
  readonly requested: boolean
  /** Puts the handlers away; the process answers signals as before. */
  remove(): void
}

/** Calls `first` on the first signal. The second exits the process: nothing can be expected of work that did not stop when asked. */
export function listenForInterrupt(first: () => void): Interrupt {
  let requested = false
  const handler = () => {
    if (requested) {
      process.exit(exitCode.interrupted)
    } else {
      requested = true
      first()
    }
  }
  for (const signal of signals) process.on(signal, handler)
  return {
    get requested() {
      return requested
    },
    remove() {
      for (const signal of signals) process.off(signal, handler)
    },
  }
}
