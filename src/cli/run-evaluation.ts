/** @file One evaluation for a command: progress on stderr, ctrl-c aborts at the next look. */
import type { Dataset } from '../data/dataset.js'
import { AbortError } from '../errors.js'
import type { DeviceHandle, EvaluationResult, EvaluationSettings, SyntheticSet } from '../experiment/types.js'
import { asUsageError } from './exit-codes.js'
import { listenForInterrupt } from './interrupt.js'
import type { Library } from './library.js'
import type { Output } from './output.js'
import { Progress } from './progress.js'

export interface EvaluationJob {
  readonly library: Library
  readonly output: Output
  readonly device: DeviceHandle
  readonly set: SyntheticSet
  readonly test: Dataset
  readonly settings: EvaluationSettings
  /** What is trained on, in front of the progress line. */
  readonly label: string
  /** As in EvaluateOptions. */
  readonly onResult?: (result: EvaluationResult) => void | Promise<void>
}

export async function runEvaluation({
  library,
  output,
  device,
  set,
  test,
  settings,
  label,
  onResult,
}: EvaluationJob): Promise<EvaluationResult[]> {
  const abort = new AbortController()
  const interrupt = listenForInterrupt(() => {
    output.notice('\nstopping the evaluation (ctrl-c again: leave at once)')
    abort.abort()
  })
  let progress: { readonly network: string; readonly bar: Progress } | undefined
  try {
    return await library.evaluate(set, {
      ...settings,
      test,
      device,
      signal: abort.signal,
      onProgress({ network, epoch, epochs, loss }) {
        if (progress?.network !== network) {
          progress?.bar.finish()
          progress = { network, bar: new Progress({ label: `train ${network} on ${label}, epoch`, total: epochs, stream: output.stderr }) }
        }
        progress.bar.update(epoch, loss === undefined ? [] : [`loss ${loss.toPrecision(3)}`])
      },
      async onResult(result) {
        progress?.bar.finish()
        progress = undefined
        await onResult?.(result)
      },
    })
  } catch (error) {
    throw abort.signal.aborted ? new AbortError('interrupted') : asUsageError(error)
  } finally {
    progress?.bar.finish()
    interrupt.remove()
  }
}

/** '72.3 ± 0.9 %' */
export const formatAccuracy = ({ mean, std }: Pick<EvaluationResult, 'mean' | 'std'>): string => `${mean.toFixed(1)} ± ${std.toFixed(1)} %`
