/** @file Training of networks for a command: progress on stderr, ctrl-c aborts at the next look. */
import type { Dataset } from '../data/dataset.js'
import type { TrainingSource } from '../evaluate/index.js'
import type { DeviceHandle, EvaluationProgress, EvaluationResult, EvaluationSettings } from '../experiment/types.js'
import { interruptible } from './interruptible.js'
import type { Library } from './library.js'
import type { Output } from './output.js'
import { Progress } from './progress.js'

export interface EvaluationJob {
  readonly library: Library
  readonly output: Output
  readonly device: DeviceHandle
  readonly source: TrainingSource
  readonly test: Dataset
  readonly settings: EvaluationSettings
  /** What is trained on, in front of the progress line. */
  readonly label: string
  /** As in EvaluateOptions. */
  readonly onResult?: (result: EvaluationResult) => void | Promise<void>
}

export function runEvaluation({
  library,
  output,
  device,
  source,
  test,
  settings,
  label,
  onResult,
}: EvaluationJob): Promise<EvaluationResult[]> {
  return withProgress(output, label, ({ signal, onProgress, endLine }) =>
    library.evaluate(source, {
      ...settings,
      test,
      device,
      signal,
      onProgress,
      async onResult(result) {
        endLine()
        await onResult?.(result)
      },
    }),
  )
}

export interface ProgressHooks {
  readonly signal: AbortSignal
  readonly onProgress: (progress: EvaluationProgress) => void
  /** Ends the progress line, before something else is printed. */
  readonly endLine: () => void
}

/** Runs `action` with a progress line; a signal of the system aborts it and ends the command as interrupted. */
export async function withProgress<T>(output: Output, label: string, action: (hooks: ProgressHooks) => Promise<T>): Promise<T> {
  let progress: { readonly what: string; readonly bar: Progress } | undefined
  const endLine = () => {
    progress?.bar.finish()
    progress = undefined
  }
  const onProgress = ({ network, epoch, epochs, loss, testing }: EvaluationProgress) => {
    const what = testing ? `test ${network}, trained on ${label}, image` : `train ${network} on ${label}, epoch`
    // Networks that train one after the other are measured in between: each measurement has a line of its own.
    if (progress?.what !== what || (testing && testing.images < 1)) {
      endLine()
      progress = { what, bar: new Progress({ label: what, total: testing?.total ?? epochs, stream: output.stderr }) }
    }
    progress.bar.update(testing?.images ?? epoch, loss === undefined ? [] : [`loss ${loss.toPrecision(3)}`])
  }
  const stopping = () => output.notice('\nstopping the evaluation (ctrl-c again: leave at once)')
  return interruptible(stopping, (signal) => action({ signal, onProgress, endLine }).finally(endLine))
}

/** '72.3 ± 0.9 %', or '72.3 %' of one network. */
export const formatAccuracy = ({ mean, std, n }: Pick<EvaluationResult, 'mean' | 'std' | 'n'>): string =>
  `${mean.toFixed(1)}${n > 1 ? ` ± ${std.toFixed(1)}` : ''} %`

/** ', soft labels, lr 0.0183' where networks were trained on learned labels or at the rate of a set; nothing where all are alike. */
export function trainingNote({ training }: Pick<EvaluationResult, 'training'>): string {
  if (!training || (training.protocol !== 'trajectory' && training.labels === 'hard')) return ''
  return `, ${training.labels} labels, lr ${Number(training.learningRate.toPrecision(4))}`
}
