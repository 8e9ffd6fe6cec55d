/** @file A training on the command line: progress with the time left on stderr; ctrl-c ends it with what is done saved, to be continued. */
import { AbortError } from '../errors.js'
import { asUsageError } from './exit-codes.js'
import { listenForInterrupt } from './interrupt.js'
import type { Output } from './output.js'
import { Progress } from './progress.js'

/** Steps of a training; `found` were done when this process began. */
export interface TrainingSteps {
  readonly done: number
  readonly total: number
  readonly found: number
}

export interface TrainingHooks<P extends TrainingSteps> {
  readonly signal: AbortSignal
  readonly onProgress: (progress: P) => void
}

/** How a training is spoken of. */
export interface TrainingWords<P extends TrainingSteps> {
  /** Before the bar. */
  readonly label: string
  /** What ctrl-c saves. */
  readonly saved: string
  /** The command that goes on. */
  readonly resume: string
  /** What the bar says of a step beside its number. */
  readonly details: (progress: P) => string[]
}

/** Runs `action`; a signal of the system aborts its own, and what is done stays saved. */
export async function withTraining<P extends TrainingSteps, T>(
  output: Output,
  { label, saved, resume, details }: TrainingWords<P>,
  action: (hooks: TrainingHooks<P>) => Promise<T>,
): Promise<T> {
  const abort = new AbortController()
  const interrupt = listenForInterrupt(() => {
    output.notice(`\nstopping; ${saved} are saved (ctrl-c again: leave at once)`)
    abort.abort()
  })
  let bar: Progress | undefined
  const onProgress = (progress: P) => {
    const { done, total, found } = progress
    // what was found done says nothing of the time left: the bar begins where the first step of this process does
    if (done === found) return
    bar ??= new Progress({ label, total, from: found, stream: output.stderr })
    bar.update(done, details(progress))
  }
  try {
    return await action({ signal: abort.signal, onProgress })
  } catch (error) {
    if (!abort.signal.aborted) throw asUsageError(error)
    bar?.finish()
    output.notice(`continue with: ${resume}`)
    throw new AbortError('interrupted')
  } finally {
    bar?.finish()
    interrupt.remove()
  }
}

/** Images of this process by time, once there is some. */
export const imageRate = ({ images, seconds }: { readonly images: number; readonly seconds: number }): string[] =>
  seconds > 0 ? [`${Math.round(images / seconds)} images/s`] : []
