/** @file Where a command writes: results to stdout, everything on the way to stderr; with --json, stdout carries one JSON value and nothing else. */

export interface Stream {
  write(text: string): unknown
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
}

export interface Output {
  readonly json: boolean
  /** For progress and notices. */
  readonly stderr: Stream
  /** A line of the result for people; left out with --json. */
  line(text: string): void
  /** The result for programs; left out without --json. */
  value(value: unknown): void
  /** A line about what is going on, on stderr. */
  notice(text: string): void
}

export function createOutput(stdout: Stream, stderr: Stream, json: boolean): Output {
  return {
    json,
    stderr,
    line(text) {
      if (!json) stdout.write(`${text}\n`)
    },
    value(value) {
      if (json) stdout.write(`${JSON.stringify(value)}\n`)
    },
    notice(text) {
      stderr.write(`${text}\n`)
    },
  }
}
