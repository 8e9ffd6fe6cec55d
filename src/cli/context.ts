/** @file What every command gets from the entry: the library, where to write, and the exit code it may set. */
import type { Command } from 'commander'
import type { Library } from './library.js'
import { createOutput, type Output, type Stream } from './output.js'

export interface CliContext {
  /** The command line, for the run's record. */
  readonly args: readonly string[]
  readonly library: Library
  readonly stdout: Stream
  readonly stderr: Stream
  /** Exit code of a command that ends without an error; the highest one set wins. */
  setExitCode(code: number): void
}

/** The output of a command, according to the global --json. */
export const outputOf = (context: CliContext, command: Command): Output =>
  createOutput(context.stdout, context.stderr, command.optsWithGlobals().json === true)
