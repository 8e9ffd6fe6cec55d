/** @file Progress on stderr: a bar that redraws itself on a terminal, a line now and then anywhere else. */
import type { Stream } from './output.js'

export interface ProgressOptions {
  readonly label: string
  readonly total: number
  /** What was done before: it says nothing of the time that is left. */
  readonly from?: number
  readonly stream: Stream
  /** Monotonic seconds. */
  readonly now?: () => number
}

const barCells = 24
const redrawSeconds = 0.1
/** Without a terminal: a line per tenth of the work, but none sooner than the first and none later than the second after the one before. */
const lineSeconds = { least: 5, most: 60 }

/** Before that many seconds nothing can be said of the time that is left: the first steps are no measure. */
const leastSeconds = 1

const systemClock = (): number => performance.now() / 1000

/** '1:02:03', '2:03' or '0:03'. */
export function formatClock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const parts = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60]
  const shown = parts[0] > 0 ? parts : parts.slice(1)
  return shown.map((part, i) => (i === 0 ? String(part) : String(part).padStart(2, '0'))).join(':')
}

export class Progress {
  readonly #options: Required<ProgressOptions>
  readonly #start: number
  #drawn = Number.NEGATIVE_INFINITY
  #drawnDone = 0
  #open = false

  constructor(options: ProgressOptions) {
    this.#options = { now: systemClock, from: 0, ...options }
    this.#start = this.#options.now()
  }

  /** `details` follow the counts, for example 'loss 1.23'. */
  update(done: number, details: readonly string[] = []): void {
    const { stream, total, now } = this.#options
    const time = now()
    const finished = done >= total
    if (stream.isTTY) {
      if (!finished && time - this.#drawn < redrawSeconds) return
      stream.write(`\r${this.#line(done, details, time).slice(0, (stream.columns ?? 80) - 1)}\x1b[K`)
      this.#open = true
    } else {
      const pause = time - this.#drawn
      const early = pause < lineSeconds.least || (pause < lineSeconds.most && done - this.#drawnDone < total / 10)
      if (!finished && early && this.#drawnDone > 0) return
      stream.write(`${this.#line(done, details, time)}\n`)
    }
    this.#drawn = time
    this.#drawnDone = Math.max(1, done)
  }

  /** Ends the bar's line, so that what follows starts on its own. */
  finish(): void {
    if (this.#open) this.#options.stream.write('\n')
    this.#open = false
  }

  #line(done: number, details: readonly string[], time: number): string {
    const { label, total, from, stream } = this.#options
    const share = total > 0 ? Math.min(1, done / total) : 1
    const filled = Math.round(share * barCells)
    const bar = stream.isTTY ? ` [${'#'.repeat(filled)}${'.'.repeat(barCells - filled)}]` : ''
    const elapsed = time - this.#start
    const clock =
      done >= total
        ? `${formatClock(elapsed)} in all`
        : `${done > from && elapsed >= leastSeconds ? formatClock((elapsed / (done - from)) * (total - done)) : '?'} left`
    return [`${label}${bar} ${done}/${total}`, ...details, clock].join('  ')
  }
}
