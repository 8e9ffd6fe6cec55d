/** @file A pretraining on the command line: progress with the time left on stderr, ctrl-c saves it so that it can be continued. */
import type { Dataset } from '../data/dataset.js'
import { AbortError } from '../errors.js'
import type { PretrainProgress } from '../pretrain/settings.js'
import { asUsageError } from './exit-codes.js'
import { listenForInterrupt } from './interrupt.js'
import type { Output } from './output.js'
import { Progress } from './progress.js'

export interface PretrainHooks {
  readonly signal: AbortSignal
  readonly onProgress: (progress: PretrainProgress) => void
}

/** Runs `action`; a signal of the system ends it after the steps under way, which are saved in `dir`. */
export async function withPretraining<T>(
  output: Output,
  train: Dataset,
  dir: string,
  action: (hooks: PretrainHooks) => Promise<T>,
): Promise<T> {
  const abort = new AbortController()
  const interrupt = listenForInterrupt(() => {
    output.notice('\nstopping; the steps that are done are saved (ctrl-c again: leave at once)')
    abort.abort()
  })
  let bar: Progress | undefined
  const onProgress = (progress: PretrainProgress) => {
    const { done, total, found } = progress
    bar ??= new Progress({ label: `pretraining on ${train.name}, steps`, total, from: found, stream: output.stderr })
    bar.update(done, details(progress))
  }
  try {
    return await action({ signal: abort.signal, onProgress })
  } catch (error) {
    if (!abort.signal.aborted) throw asUsageError(error)
    bar?.finish()
    output.notice(`continue with: aludel pretrain --resume ${dir}`)
    throw new AbortError('interrupted')
  } finally {
    bar?.finish()
    interrupt.remove()
  }
}

function details({ epoch, epochs, loss, spread, images, seconds }: PretrainProgress): string[] {
  const rate = seconds > 0 ? [`${Math.round(images / seconds)} images/s`] : []
  return [`epoch ${epoch}/${epochs}`, `loss ${loss.toPrecision(3)}`, `spread ${spread.toPrecision(2)}`, ...rate]
}
