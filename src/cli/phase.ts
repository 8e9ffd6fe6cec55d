/** @file What a phase took, for run.json. */
import type { Phase } from '../experiment/run-dir.js'

/** A clock that is started now; the call returned tells what the phase took until then. */
export function startPhase(name: string): () => Phase {
  const start = performance.now()
  // maxRSS is in kilobytes on every platform.
  return () => ({ name, seconds: (performance.now() - start) / 1000, peakBytes: process.resourceUsage().maxRSS * 1024 })
}

/** A command line as a shell takes it. */
export const commandLine = (args: readonly string[]): string =>
  ['aludel', ...args.map((arg) => (/^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replace(/'/g, "'\\''")}'`))].join(' ')
