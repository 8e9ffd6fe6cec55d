/** @file Drives one distillation for a command: events to the run directory and the progress line, images to disk, ctrl-c in order. */
import { join, resolve } from 'node:path'
import type { Dataset } from '../data/dataset.js'
import { exists } from '../data/file-bytes.js'
import type { Whitening } from '../data/whitening.js'
import { AbortError, AludelError } from '../errors.js'
import type { RepresentationSet } from '../experiment/representation-set.js'
import { createRunDir, type GivenSettings, type RunDir, type RunRecord, runFile, runFormat, runVersion } from '../experiment/run-dir.js'
import { manifestHash } from '../experiment/synthetic-set.js'
import type {
  CheckpointStore,
  DeviceHandle,
  DistillRun,
  DistillSettings,
  DoneEvent,
  RunConfig,
  StepEvent,
  SyntheticSet,
} from '../experiment/types.js'
import type { ExpertStore } from '../experts/store.js'
import type { Subset } from '../prune/index.js'
import { writeReport } from '../report/index.js'
import type { Teacher as Encoder } from '../teachers/index.js'
import type { CliContext } from './context.js'
import { asUsageError, exitCode } from './exit-codes.js'
import { hostDescription, versions } from './host.js'
import { listenForInterrupt } from './interrupt.js'
import type { Library } from './library.js'
import { given } from './options.js'
import type { Output } from './output.js'
import { commandLine, startPhase } from './phase.js'
import { Progress } from './progress.js'
import { type Pruning, pruneRun } from './pruning.js'
import { addRealImages } from './real-images.js'
import { addRepresentationSample } from './representation-sample.js'
import type { RunScheduling } from './run-schedule.js'
import { keepWhitening, whitenTraining, type ZcaChoice } from './whitening.js'

/** What a distillation runs on and writes to. */
export interface DistillationTools {
  readonly library: Library
  readonly output: Output
  readonly device: DeviceHandle
  readonly dataset: Dataset
  /** Of a run without labels. */
  readonly teacher?: Encoder
}

export interface DistillationJob extends DistillationTools {
  /** The data set as the user named it, for run.json. */
  readonly specification: string
  readonly settings: DistillSettings
  /** The recipe that settings came from. */
  readonly recipe?: RunRecord['recipe']
  readonly dir: string
  /** The command line, for run.json. */
  readonly args: readonly string[]
  readonly checkpointEvery?: number
  readonly overwrite?: boolean
  /** What a method of trajectory matching reads. */
  readonly experts?: ExpertStore
  /** What real batches are drawn by; absent where they come from all images. */
  readonly scheduling?: RunScheduling
  /** How the run chooses its images of `dataset`; absent when it takes all. */
  readonly pruning?: Pruning
}

/** How a run of trajectory matching went on, where something is to be said; of others nothing. */
function warnings({ skips, guards, steps }: RunConfig): string[] {
  const frozen = skips === steps ? ': nothing was learned; raise the threshold, or start from other epochs' : ''
  return [
    ...(skips ? [`${skips} of ${steps} steps had a loss above the threshold and changed nothing${frozen}`] : []),
    ...(guards
      ? [`the learning rate would have become 0 or less ${guards} times and was kept; lower its learning rate (--set lrLr=…)`]
      : []),
  ]
}

/** What a run may end with. */
export type AnySet = SyntheticSet | RepresentationSet

export interface Distillation<S extends AnySet = SyntheticSet> {
  /** Open, for evaluations to be added; the caller closes it. */
  readonly runDir: RunDir
  readonly set: S
  readonly done: DoneEvent
  readonly loss: number | null
  readonly interrupted: boolean
}

/** A run in a directory of its own. */
export async function runDistillation(job: DistillationJob): Promise<Distillation> {
  const { library, dataset, settings, dir, overwrite = false, pruning, experts, scheduling } = job
  if (pruning) {
    if (!overwrite) await checkNoRun(dir)
    const runDir = await createRunDir(dir, initialRecord(job), { overwrite })
    return distillPruned({ ...job, runDir, train: dataset, ...given({ subset: pruning.subset }) })
  }
  const own = { ...settings, ...scheduling?.options, ...given({ experts }) }
  return runInDirectory(job, initialRecord(job), (options) => library.distill(dataset, { ...own, ...options }))
}

async function checkNoRun(dir: string): Promise<void> {
  if (await exists(join(dir, runFile)))
    throw new AludelError('invalid_option', `${dir}: already holds a run; continue it with --resume, give another --out or remove it first`)
}

/** What a run is begun with beside its settings. */
export interface StartOptions {
  readonly device: DeviceHandle
  readonly signal: AbortSignal
  readonly checkpoints: CheckpointStore
  readonly checkpointEvery?: number
}

/** Begins a run and follows it, in a directory that is made once its settings are known to be right. */
export async function runInDirectory<S extends AnySet>(
  job: DistillationTools & Pick<DistillationJob, 'dir' | 'checkpointEvery' | 'overwrite'>,
  record: RunRecord,
  begin: (options: StartOptions) => Promise<DistillRun<S>>,
): Promise<Distillation<S>> {
  const { dataset, device, dir, checkpointEvery, overwrite = false } = job
  if (!overwrite) await checkNoRun(dir)
  // Settings are checked here, before the directory exists: a mistyped option leaves nothing behind.
  const abort = new AbortController()
  const directory = later<RunDir>()
  let run: DistillRun<S>
  try {
    run = await begin({ device, signal: abort.signal, checkpoints: checkpointsOf(directory.promise), ...given({ checkpointEvery }) })
  } catch (error) {
    throw asUsageError(error)
  }
  let runDir: RunDir | undefined
  try {
    runDir = await createRunDir(dir, record, { overwrite })
    await keepWhitening(runDir, dataset)
    directory.resolve(runDir)
  } catch (error) {
    directory.reject(error)
    abort.abort(error)
    await run.result.catch(() => undefined)
    await runDir?.close().catch(() => undefined)
    throw error
  }
  return finishDistillation({ run, runDir, tools: job, abort })
}

export interface PrunedJob extends Pick<FollowedRun, 'continuation'> {
  readonly library: Library
  readonly output: Output
  readonly device: DeviceHandle
  readonly cache?: string
  readonly runDir: RunDir
  /** The whole data set. */
  readonly train: Dataset
  readonly settings: DistillSettings
  readonly subset?: Subset
  readonly checkpointEvery?: number
}

/** Chooses the images of a run that has not done so, then distils them. On failure the directory is closed, and the run can be resumed. */
export async function distillPruned(job: PrunedJob): Promise<Distillation> {
  const { library, output, device, cache, runDir, train, settings, subset, checkpointEvery, continuation } = job
  const abort = new AbortController()
  let followed: FollowedRun
  try {
    const choosing = { library, output, device, settings, ...given({ subset }) }
    const { dataset: part, record, phases: taken } = await pruneRun(train, runDir, choosing)
    const tools = { library, output, device, ...given({ cache }) }
    const dataset = await whitenTraining(part, (record.zca ?? undefined) as ZcaChoice | undefined, tools)
    await keepWhitening(runDir, dataset)
    const { specification } = runDir.record.data
    const phases = [...(runDir.record.phases ?? []), ...taken]
    await runDir.update({ ...continuation, data: { specification, ...dataRecord(dataset) }, prune: record, phases })
    const options = { ...settings, device, signal: abort.signal, checkpoints: runDir.checkpoints, ...given({ checkpointEvery }) }
    const run = await library.distill(dataset, options)
    // what the continuation changes in run.json stands there already
    followed = { run, runDir, tools: { ...tools, dataset }, abort, ...(continuation && { continuation: {} }) }
  } catch (error) {
    // an interrupt is no failure: the run goes on where it was
    if (error instanceof AbortError) await runDir.update({ status: 'stopped', finished: new Date().toISOString() }).catch(() => undefined)
    else await markFailed(runDir, error)
    await runDir.close().catch(() => undefined)
    throw asUsageError(error)
  }
  return finishDistillation(followed)
}

/** The run looks for checkpoints before its directory is there. */
const checkpointsOf = (directory: Promise<RunDir>): CheckpointStore => ({
  load: async () => (await directory).checkpoints.load(),
  save: async (checkpoint) => (await directory).checkpoints.save(checkpoint),
})

/** A promise with its ends; nobody needs to hear of its rejection. */
function later<T>(): { promise: Promise<T>; resolve(value: T): void; reject(error: unknown): void } {
  let ends!: { resolve(value: T): void; reject(error: unknown): void }
  const promise = new Promise<T>((resolve, reject) => {
    ends = { resolve, reject }
  })
  promise.catch(() => undefined)
  return { promise, ...ends }
}

export interface FollowedRun<S extends AnySet = SyntheticSet> {
  readonly run: DistillRun<S>
  readonly runDir: RunDir
  readonly tools: DistillationTools
  /** Ends the run when something beside it fails. */
  readonly abort: AbortController
  /** What run.json says from the start of a continuation on; a continuation that is refused leaves it as it was. */
  readonly continuation?: Parameters<RunDir['update']>[0]
}

/** Follows a run to its end, saves what it made and notes how it ended. On failure the directory is closed, and the run can be resumed. */
export async function finishDistillation<S extends AnySet>(followed: FollowedRun<S>): Promise<Distillation<S>> {
  const { run, runDir, tools, abort, continuation } = followed
  const { library, output, device, dataset, teacher } = tools
  const interrupt = listenForInterrupt(() => {
    output.notice('\nfinishing the step at hand; what was reached is saved (ctrl-c again: leave at once)')
    run.stop()
  })
  const progress = { started: continuation === undefined }
  try {
    const endPhase = startPhase(continuation === undefined ? 'distill' : 'distill, continued')
    const { done, last } = await follow(followed, progress)
    const set = await run.result
    const phases = [...(runDir.record.phases ?? []), endPhase()]
    await set.save(runDir.dir)
    const artifact = { manifestSha256: await manifestHash(runDir.dir) }
    // before the run is called done: a continuation writes what is missing up to then
    const made: AnySet = set
    if ('labels' in made) await addRealImages(runDir.dir, { set: made, train: dataset, device, library })
    else if (teacher) await addRepresentationSample(runDir.dir, { set: made, train: dataset, teacher, output })
    await runDir.update({ status: done.stopped ? 'stopped' : 'done', finished: new Date().toISOString(), artifact, phases })
    return { runDir, set, done, loss: last?.loss ?? null, interrupted: interrupt.requested }
  } catch (error) {
    // The run may still be going when it was the directory that failed (a full disk): end it before the device is closed.
    abort.abort(error)
    await run.result.catch(() => undefined)
    if (progress.started) await markFailed(runDir, error)
    await runDir.close().catch(() => undefined)
    throw error
  } finally {
    interrupt.remove()
  }
}

/** Closes the run, writes its report and says how it ended. */
export async function concludeDistillation(
  { runDir, set, done, loss, interrupted }: Distillation<AnySet>,
  output: Output,
  context: CliContext,
): Promise<void> {
  const { dir } = runDir
  await runDir.close()
  const report = await writeReport(dir)
  output.line(`${done.step} of ${done.iterations} steps in ${done.seconds.toFixed(1)} s; images in ${dir}, report in ${report}`)
  for (const line of warnings(set.config)) output.notice(line)
  const { status } = runDir.record
  output.value({ run: dir, status, steps: done.step, iterations: done.iterations, seconds: done.seconds, loss, report })
  if (interrupted) context.setExitCode(exitCode.interrupted)
}

/** Notes the failure where that is possible; what failed first is what the user hears of. */
async function markFailed(runDir: RunDir, error: unknown): Promise<void> {
  const message = error instanceof Error ? error.message : String(error)
  await runDir.update({ status: 'failed', finished: new Date().toISOString(), error: message }).catch(() => undefined)
}

/** Writes events down until the run ends. */
async function follow(
  { run, runDir, tools: { output }, continuation }: FollowedRun<AnySet>,
  progress: { started: boolean },
): Promise<{ done: DoneEvent; last: StepEvent | undefined }> {
  let bar: Progress | undefined
  let warmUp: Progress | undefined
  let last: StepEvent | undefined
  let validation: StepEvent['validation']
  let skips = 0
  let done: DoneEvent | undefined
  try {
    for await (const event of run) {
      if (event.type === 'start') {
        const { config, plans, step = 0, rollbacks = 0, ...start } = event
        await runDir.rewind({ step, rollbacks })
        await runDir.update({ ...continuation, config, ...given({ plans }) })
        progress.started = true
        // plans are long, and run.json has them
        await runDir.append({ ...start, config, ...(step > 0 && { step, rollbacks }) })
        bar = new Progress({ label: 'distill', total: event.iterations, from: step, stream: output.stderr })
        continue
      }
      if (event.type === 'warm-up') {
        warmUp ??= new Progress({ label: 'pool', total: event.total, from: event.done, stream: output.stderr })
        warmUp.update(event.done, ['inner steps before the first step'])
        continue
      }
      await runDir.append(event)
      if (event.type === 'step') {
        if (!last) bar = afterWarmUp(warmUp, bar, event.iterations, output)
        last = event
        validation = event.validation ?? validation
        if (event.skipped) skips++
        bar?.update(event.step, progressOf({ ...event, ...given({ validation }) }, skips))
      } else if (event.type === 'notice') {
        output.notice(event.message)
      } else if (event.type === 'rollback') {
        const rates = Object.entries(event.rates ?? {}).map(([name, rate]) => `, ${name} ${rate}`)
        output.notice(`\n${event.reason}; going back to step ${event.to} with image learning rate ${event.imageLr}${rates.join('')}`)
      } else if (event.type === 'done') {
        done = event
      }
    }
  } finally {
    runDir.settle()
    warmUp?.finish()
    bar?.finish()
  }
  if (!done) throw new AludelError('internal', 'the run ended without a last event')
  return { done, last }
}

/** The time of the warm-up says nothing of that of a step: the bar begins anew. */
function afterWarmUp(warmUp: Progress | undefined, bar: Progress | undefined, total: number, output: Output): Progress | undefined {
  if (!warmUp) return bar
  warmUp.finish()
  return new Progress({ label: 'distill', total, stream: output.stderr })
}

/** What the progress line says of a step, and of those that were skipped so far. */
function progressOf({ loss, learningRate, imagesPerSecond, validation }: StepEvent, skips: number): string[] {
  const learned = learningRate === undefined ? [] : [`lr ${learningRate.toPrecision(3)}`]
  const validated = validation ? [`validation ${validation.accuracy.toFixed(2)} %`] : []
  return [
    `loss ${loss.toPrecision(4)}`,
    ...validated,
    ...learned,
    ...(skips > 0 ? [`${skips} skipped`] : []),
    `${Math.round(imagesPerSecond)} images/s`,
  ]
}

/** What run.json says of the training images; classes in label order. */
const dataRecord = ({ name, sha256, shape, classes, mean, std, flip, whitened }: Dataset) => ({
  ...{ name, sha256, images: shape[0], image: shape.slice(1) },
  ...{ classes, mean, std, flip },
  ...(whitened && { zca: zcaRecord(whitened.whitening) }),
})

const zcaRecord = ({ order, eps, sha256 }: Whitening) => ({ order, eps, sha256 })

function initialRecord({ settings, pruning, experts, scheduling, ...job }: DistillationJob): RunRecord {
  const { methodOptions = {}, network, dynamic, shard, ...general } = settings
  const named = network === undefined ? {} : { network: typeof network === 'string' ? network : network.name }
  const part = shard && { shard: `${shard.index}/${shard.of}` }
  const config: RunConfig = { ...general, ...named, ...methodOptions, ...part }
  const settingsGiven: GivenSettings = { ...general, ...named, ...given({ methodOptions: settings.methodOptions, dynamic, shard }) }
  return newRecord(job, {
    config,
    settings: settingsGiven,
    ...(pruning && { prune: pruning.record }),
    ...(scheduling && { schedule: scheduling.record }),
    ...(experts && { experts: { path: resolve(experts.dir), sha256: experts.sha256, numbers: experts.experts } }),
  })
}

/** run.json of a run that begins; `own` is what it is of. */
export function newRecord(
  {
    dataset,
    specification,
    recipe,
    checkpointEvery,
    device,
    args,
  }: Pick<DistillationJob, 'dataset' | 'specification' | 'recipe' | 'checkpointEvery' | 'device' | 'args'>,
  own: Pick<RunRecord, 'config'> & Partial<RunRecord>,
): RunRecord {
  return {
    format: runFormat,
    version: runVersion,
    status: 'running',
    ...own,
    ...given({ recipe }),
    checkpointEvery: checkpointEvery ?? null,
    data: { specification, ...dataRecord(dataset) },
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
