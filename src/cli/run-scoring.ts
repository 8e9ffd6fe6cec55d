/** @file A scoring on the command line: progress with the time left on stderr, ctrl-c ends it so that it can be continued. */
import type { Dataset } from '../data/dataset.js'
import { AbortError } from '../errors.js'
import type { ScoringProgress } from '../scoring/options.js'
import { asUsageError } from './exit-codes.js'
import { listenForInterrupt } from './interrupt.js'
import type { Output } from './output.js'
import { Progress } from './progress.js'

export interface ScoringHooks {
  readonly signal: AbortSignal
  readonly onProgress: (progress: ScoringProgress) => void
}

/** Runs `action`; a signal of the system ends it, and what was reached stays in `dir`. `goOn` is the command that goes on from there. */
export async function withScoring<T>(
  output: Output,
  train: Dataset,
  dir: string,
  action: (hooks: ScoringHooks) => Promise<T>,
  goOn = `aludel score --resume ${dir}`,
): Promise<T> {
  const abort = new AbortController()
  const interrupt = listenForInterrupt(() => {
    output.notice('\nstopping; the epochs that are done are saved (ctrl-c again: leave at once)')
    abort.abort()
  })
  let bar: Progress | undefined
  const onProgress = (progress: ScoringProgress) => {
    const share = percent(progress.done)
    bar ??= new Progress({ label: `score ${train.name}, per cent`, total: 100, from: share, stream: output.stderr })
    bar.update(share, details(progress))
  }
  try {
    return await action({ signal: abort.signal, onProgress })
  } catch (error) {
    if (!abort.signal.aborted) throw asUsageError(error)
    bar?.finish()
    output.notice(`continue with: ${goOn}`)
    throw new AbortError('interrupted')
  } finally {
    bar?.finish()
    interrupt.remove()
  }
}

const percent = (share: number): number => Math.floor(1000 * share) / 10

function details({ run, runs, phase, epoch, epochs, loss, images, seconds }: ScoringProgress): string[] {
  const network = `network ${run + 1}/${runs}`
  const where = epoch === undefined ? phase : `epoch ${epoch + 1}/${epochs}`
  const rate = seconds > 0 ? [`${Math.round(images / seconds)} images/s`] : []
  return [network, where, ...(loss === undefined ? [] : [`loss ${loss.toPrecision(3)}`]), ...rate]
}
