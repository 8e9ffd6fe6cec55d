/** @file A training of experts on the command line: progress with the time left on stderr, ctrl-c ends it so that it can be continued. */
import type { Dataset } from '../data/dataset.js'
import { AbortError } from '../errors.js'
import type { ExpertsProgress } from '../experts/settings.js'
import { asUsageError } from './exit-codes.js'
import { listenForInterrupt } from './interrupt.js'
import type { Output } from './output.js'
import { Progress } from './progress.js'

export interface ExpertsHooks {
  readonly signal: AbortSignal
  readonly onProgress: (progress: ExpertsProgress) => void
}

/** Runs `action`; a signal of the system ends it, and the epochs that are done stay in `dir`. */
export async function withExperts<T>(output: Output, train: Dataset, dir: string, action: (hooks: ExpertsHooks) => Promise<T>): Promise<T> {
  const abort = new AbortController()
  const interrupt = listenForInterrupt(() => {
    output.notice('\nstopping; the epochs that are done are saved (ctrl-c again: leave at once)')
    abort.abort()
  })
  let bar: Progress | undefined
  const onProgress = (progress: ExpertsProgress) => {
    const { done, total, found } = progress
    // what was found done says nothing of the time left: the bar begins where the first step of this process does
    if (done === found) return
    bar ??= new Progress({ label: `experts on ${train.name}, steps`, total, from: found, stream: output.stderr })
    bar.update(done, details(progress))
  }
  try {
    return await action({ signal: abort.signal, onProgress })
  } catch (error) {
    if (!abort.signal.aborted) throw asUsageError(error)
    bar?.finish()
    output.notice(`continue with: aludel experts --resume ${dir}`)
    throw new AbortError('interrupted')
  } finally {
    bar?.finish()
    interrupt.remove()
  }
}

function details({ experts: [first, last], epoch, epochs, loss, accuracy, images, seconds }: ExpertsProgress): string[] {
  const which = first === last ? `expert ${first}` : `experts ${first}-${last}`
  const reached = loss === undefined || accuracy === undefined ? [] : [`loss ${loss.toPrecision(3)}`, `${accuracy.toFixed(1)} %`]
  const rate = seconds > 0 ? [`${Math.round(images / seconds)} images/s`] : []
  return [which, `epoch ${epoch}/${epochs}`, ...reached, ...rate]
}
