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

/** All that a terminal would act on rather than show, but for ends of lines and tabs. */
const control = /[^\P{Cc}\n\t]/gu

/** Names of files and what stands in them come from strangers: shown, they must not clear the screen or pass for another line. */
const printable = (text: string): string => text.replace(control, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)

export function createOutput(stdout: Stream, stderr: Stream, json: boolean): Output {
  return {
    json,
    stderr,
    line(text) {
      if (!json) stdout.write(`${printable(text)}\n`)
    },
    value(value) {
      if (json) stdout.write(`${JSON.stringify(value)}\n`)
    },
    notice(text) {
      stderr.write(`${printable(text)}\n`)
    },
  }
}
