/** @file A training on the command line: progress with the time left on stderr; ctrl-c ends it with what is done saved, to be continued. */
import type { Dataset } from '../data/dataset.js'
import { interruptible } from './interruptible.js'
import type { Output } from './output.js'
import { Progress } from './progress.js'

export interface TrainingHooks<P> {
  readonly signal: AbortSignal
  readonly onProgress: (progress: P) => void
}

/** How a kind of training is spoken of. */
export interface TrainingWords<P> {
  /** Before the bar. */
  readonly label: (data: string) => string
  /** What ctrl-c saves. */
  readonly saved: string
  /** The command that goes on with `--resume`. */
  readonly command: string
  /** Where the bar is and where it began; absent where there is nothing to show yet. */
  readonly place: (progress: P) => { readonly done: number; readonly total: number; readonly from: number } | undefined
  /** What the bar says beside its number. */
  readonly details: (progress: P) => string[]
}

/** Runs `action` on `train`; a signal of the system ends it, and what is done stays in `dir`. `goOn` is the command that goes on from there. */
export type WithTraining<P> = <T>(
  output: Output,
  train: Dataset,
  dir: string,
  action: (hooks: TrainingHooks<P>) => Promise<T>,
  goOn?: string,
) => Promise<T>

export const trainingOf =
  <P>({ label, saved, command, place, details }: TrainingWords<P>): WithTraining<P> =>
  (output, train, dir, action, goOn = `aludel ${command} --resume ${dir}`) => {
    let bar: Progress | undefined
    const onProgress = (progress: P) => {
      const at = place(progress)
      if (!at) return
      bar ??= new Progress({ label: label(train.name), total: at.total, from: at.from, stream: output.stderr })
      bar.update(at.done, details(progress))
    }
    return interruptible(
      () => output.notice(`\nstopping; ${saved} are saved (ctrl-c again: leave at once)`),
      (signal) => action({ signal, onProgress }).finally(() => bar?.finish()),
      () => output.notice(`continue with: ${goOn}`),
    )
  }

/** Steps of a training; `found` were done when this process began. */
interface TrainingSteps {
  readonly done: number
  readonly total: number
  readonly found: number
}

/** What was found done says nothing of the time left: the bar begins where the first step of this process does. */
export const placeOfSteps = ({ done, total, found }: TrainingSteps) => (done === found ? undefined : { done, total, from: found })

/** Images of this process by time, once there is some. */
export const imageRate = ({ images, seconds }: { readonly images: number; readonly seconds: number }): string[] =>
  seconds > 0 ? [`${Math.round(images / seconds)} images/s`] : []
