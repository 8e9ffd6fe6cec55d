/** @file Drives one distillation for a command: events to the run directory and the progress line, images to disk, ctrl-c in order. */
import { join } from 'node:path'
import type { Dataset } from '../data/dataset.js'
import { exists } from '../data/file-bytes.js'
import { AludelError } from '../errors.js'
import { createRunDir, type RunDir, type RunRecord, runFile, runFormat, runVersion } from '../experiment/run-dir.js'
import type { DeviceHandle, DistillRun, DistillSettings, DoneEvent, RunConfig, StepEvent, SyntheticSet } from '../experiment/types.js'
import { asUsageError } from './exit-codes.js'
import { hostDescription, versions } from './host.js'
import { listenForInterrupt } from './interrupt.js'
import type { Library } from './library.js'
import type { Output } from './output.js'
import { commandLine, startPhase } from './phase.js'
import { Progress } from './progress.js'
import { addRealImages } from './real-images.js'

export interface DistillationJob {
  readonly library: Library
  readonly output: Output
  readonly device: DeviceHandle
  readonly dataset: Dataset
  /** The data set as the user named it, for run.json. */
  readonly specification: string
  readonly settings: DistillSettings
  readonly dir: string
  /** The command line, for run.json. */
  readonly args: readonly string[]
  readonly overwrite?: boolean
}

export interface Distillation {
  /** Open, for evaluations to be added; the caller closes it. */
  readonly runDir: RunDir
  readonly set: SyntheticSet
  readonly done: DoneEvent
  readonly loss: number | null
  readonly interrupted: boolean
}

export async function runDistillation(job: DistillationJob): Promise<Distillation> {
  const { library, output, dataset, settings, device, dir, overwrite = false } = job
  if (!overwrite && (await exists(join(dir, runFile)))) {
    throw new AludelError('invalid_option', `${dir}: already holds a run; give another --out or remove it first`)
  }
  // Settings are checked here, before the directory exists: a mistyped option leaves nothing behind.
  const abort = new AbortController()
  let run: DistillRun
  try {
    run = await library.distill(dataset, { ...settings, device, signal: abort.signal })
  } catch (error) {
    throw asUsageError(error)
  }
  let runDir: RunDir
  try {
    runDir = await createRunDir(dir, initialRecord(job), { overwrite })
  } catch (error) {
    abort.abort(error)
    await run.result.catch(() => undefined)
    throw error
  }
  const interrupt = listenForInterrupt(() => {
    output.notice('\nfinishing the step at hand; what was reached is saved (ctrl-c again: leave at once)')
    run.stop()
  })
  try {
    const endPhase = startPhase('distill')
    const { done, last } = await follow(run, runDir, output)
    const set = await run.result
    const phases = [...(runDir.record.phases ?? []), endPhase()]
    await set.save(dir)
    await runDir.update({ status: done.stopped ? 'stopped' : 'done', finished: new Date().toISOString(), phases })
    await addRealImages(dir, { set, train: dataset, device, library })
    return { runDir, set, done, loss: last?.loss ?? null, interrupted: interrupt.requested }
  } catch (error) {
    // The run may still be going when it was the directory that failed (a full disk): end it before the device is closed.
    abort.abort(error)
    await run.result.catch(() => undefined)
    await markFailed(runDir, error)
    throw error
  } finally {
    interrupt.remove()
  }
}

/** Notes the failure where that is possible; what failed first is what the user hears of. */
async function markFailed(runDir: RunDir, error: unknown): Promise<void> {
  const message = error instanceof Error ? error.message : String(error)
  await runDir.update({ status: 'failed', finished: new Date().toISOString(), error: message }).catch(() => undefined)
  await runDir.close().catch(() => undefined)
}

/** Writes events down until the run ends. */
async function follow(run: DistillRun, runDir: RunDir, output: Output): Promise<{ done: DoneEvent; last: StepEvent | undefined }> {
  let progress: Progress | undefined
  let last: StepEvent | undefined
  let done: DoneEvent | undefined
  try {
    for await (const event of run) {
      await runDir.append(event)
      if (event.type === 'start') {
        await runDir.update({ config: event.config })
        progress = new Progress({ label: 'distill', total: event.iterations, stream: output.stderr })
      } else if (event.type === 'step') {
        last = event
        progress?.update(event.step, [`loss ${event.loss.toPrecision(4)}`, `${Math.round(event.imagesPerSecond)} images/s`])
      } else {
        done = event
      }
    }
  } finally {
    progress?.finish()
  }
  if (!done) throw new AludelError('internal', 'the run ended without a last event')
  return { done, last }
}

function initialRecord({ dataset, specification, settings, device, args }: DistillationJob): RunRecord {
  const { methodOptions = {}, network, ...general } = settings
  const named = network === undefined ? {} : { network: typeof network === 'string' ? network : network.name }
  const config: RunConfig = { ...general, ...named, ...methodOptions }
  return {
    format: runFormat,
    version: runVersion,
    status: 'running',
    config,
    data: { specification, name: dataset.name, sha256: dataset.sha256, images: dataset.shape[0] },
    versions: versions(),
    host: hostDescription(device),
    started: new Date().toISOString(),
    finished: null,
    error: null,
    evaluations: [],
    phases: [],
    commands: [commandLine(args)],
  }
}
