/** @file The only outer loop: owns the state arrays, uploads each chunk's draws, replays the step, reports, and ends cleanly whatever happens. */
import { type AnyDataset, resolveDataset } from '../data/any-dataset.js'
import { type Dataset, rowsOfWhole } from '../data/dataset.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import type { Device } from '../engine/runtime/device.js'
import { AbortError, AludelError } from '../errors.js'
import { createSyntheticSet } from '../experiment/synthetic-set.js'
import type {
  DistillOptions,
  DistillRun,
  LoadedCheckpoint,
  PruningEvent,
  StepEvent,
  SyntheticSet,
  SyntheticSetFields,
} from '../experiment/types.js'
import { repeatedRows } from '../ridge/index.js'
import { Checkpointer, checkEvery } from './checkpointer.js'
import { checkFinite, Divergence, keepState, mostRollbacks, rollBack, rollbackEvery, rollbackFactor, withRollback } from './divergence.js'
import { DynamicIterations } from './dynamic/dynamic-iterations.js'
import { EventStream } from './events.js'
import { GradientIterations } from './gradient-matching-loop.js'
import { type InitialImages, initialImages } from './initial-images.js'
import type { IterationState, Iterations, StepOutcome } from './iterations.js'
import { lossIterations } from './loss-iterations.js'
import { imagesOf, initialLatents } from './parametrise.js'
import { copyNotices } from './regression/copies.js'
import { startRows } from './regression/held-out.js'
import { LabelIterations } from './regression/label-iterations.js'
import { LabelSolveIterations } from './regression/label-solve.js'
import { variantCount } from './regression/real-batches.js'
import { RepresentationIterations, type RepresentationSettings } from './regression/representation-iterations.js'
import { type RepresentationStart, representationStart } from './regression/start.js'
import { tableBytes } from './regression/teacher-targets.js'
import { bestArrays } from './regression/validation.js'
import { checkConfig, checkPlans, restoreState } from './resume.js'
import { checkFits, checkTable, freeBytes } from './run-memory.js'
import { checkSchedule } from './scheduled-rows.js'
import { checkDistillOptions, type ResolvedSettings, resolveSettings } from './settings.js'
import { RunState, type StateDeclaration } from './state.js'
import { requireExperts } from './trajectory/check-experts.js'
import { trajectoryStart } from './trajectory/start.js'
import { TrajectoryIterations } from './trajectory/trajectory-iterations.js'

/** A chunk is replayed in one crossing; it grows until it lasts about this long, so that events and aborts stay prompt. */
const chunkSeconds = 0.25

/**
 * Distils `data` into `ipc` synthetic images per class. Fields or samples that are no data set yet are made one as `createDataset` does.
 * Data and settings are checked at once (throws `invalid_option`, `not_found`, `invalid_data`, `detached`), but for what can only be known
 * when an iterator of samples has ended; that and everything later rejects `result` and ends the iteration with the same error.
 */
export function distill(data: AnyDataset, options: DistillOptions<Device>): DistillRun {
  checkDistillOptions(options)
  checkEvery(options.checkpointEvery)
  const resolved = resolveDataset(data)
  const prepare = (dataset: Dataset): Task => {
    const settings = resolveSettings(dataset, options)
    requireExperts(settings.method, settings.experts)
    return { dataset, settings }
  }
  const task = resolved instanceof Promise ? resolved.then(prepare) : prepare(resolved)
  return startRun(task, options, collectSet)
}

/** What the loop needs of a run's options. */
export type LoopOptions = Pick<DistillOptions<Device>, 'device' | 'signal' | 'checkpoints' | 'checkpointEvery'>

/** Makes the set of where the run is. */
type Collect<T, S> = (task: T, run: PreparedRun, device: Device) => Promise<S>

/** Runs a task to its end and collects what it made. */
export function startRun<T extends Task, S>(task: T | Promise<T>, options: LoopOptions, collect: Collect<T, S>): DistillRun<S> {
  // A run that is aborted before it begins looks at neither.
  if (task instanceof Promise) task.catch(() => undefined)
  const stream = new EventStream()
  const control = { stopped: false }
  const result = runLoop(task, options, { stream, control, collect })
  // A caller that only iterates sees the error there; the promise must not count as unhandled.
  result.catch((error) => stream.end({ error }))
  return {
    result,
    stop() {
      control.stopped = true
    },
    [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator](),
  }
}

export interface Task<R extends ResolvedSettings = ResolvedSettings> {
  readonly dataset: Dataset
  readonly settings: R
}

async function runLoop<T extends Task, S>(
  given: T | Promise<T>,
  options: LoopOptions,
  { stream, control, collect }: { stream: EventStream; control: { stopped: boolean }; collect: Collect<T, S> },
): Promise<S> {
  throwIfAborted(options.signal)
  const task = await given
  const { dataset, settings } = task // options errors throw from distill itself; everything below rejects
  const loaded = await options.checkpoints?.load()
  if (loaded) checkConfig(loaded.checkpoint, settings.config, settings.iterations, dataset)
  await checkSchedule(dataset, settings)
  const start = await startOf(dataset, settings, options)
  const run = prepareWithin(options, task, () =>
    prepareRun(dataset, settings, options.device, {
      start,
      rollbacks: loaded?.checkpoint.counters.rollbacks ?? 0,
    }),
  )
  const { state } = run
  let checkpointer: Checkpointer | undefined
  try {
    if (loaded) {
      checkPlans(loaded.checkpoint, run.work.plans)
      await restoreState(state, loaded.checkpoint)
    }
    const startTime = performance.now() / 1000 - (loaded?.checkpoint.seconds ?? 0)
    const seconds = () => performance.now() / 1000 - startTime
    checkpointer = new Checkpointer(
      {
        store: options.checkpoints,
        every: options.checkpointEvery,
        capture: () => state.snapshot(),
        about: () => ({ config: settings.config, data: dataOf(dataset), plans: run.work.plans, seconds: seconds() }),
        now: seconds,
      },
      state.counters.step,
    )
    pushStart(stream, dataset, settings, run, loaded)
    await advance(run, settings, { stream, control, checkpointer, seconds, signal: options.signal })
    const set = await collect(task, run, options.device)
    const { iterations } = settings
    const { step } = state.counters
    stream.end({ last: { type: 'done', step, iterations, seconds: seconds(), stopped: step < iterations && !run.work.isOver?.(step) } })
    return set
  } finally {
    await checkpointer?.settle()
    state.dispose()
    run.work.dispose()
  }
}

/** The images that the state begins as, or the latents of those. */
async function startOf(dataset: Dataset, settings: ResolvedSettings, options: LoopOptions): Promise<InitialImages> {
  if (isRepresentation(settings)) {
    checkTable(tableOf(dataset, settings))
    return representationStart(dataset, settings, options.signal)
  }
  if ('trajectory' in settings.method) return trajectoryStart(dataset, settings, options.device, options.signal)
  const start = await withNotices(await initialImages(dataset, settings, startRows(dataset, settings)), settings)
  const { parametrise, ipc, seed } = settings
  if (!parametrise) return start
  const count = dataset.classes.length * ipc
  const labels = Int32Array.from({ length: count }, (_, i) => Math.floor(i / ipc))
  return initialLatents(parametrise, start, { shape: [count, ...dataset.shape.slice(1)], labels, seed })
}

/** Of methods that solve a kernel of their images: which of these are the same. */
async function withNotices(start: InitialImages, { method }: ResolvedSettings): Promise<InitialImages> {
  if (!('regression' in method)) return start
  const { images, sourceIds } = start
  const n = sourceIds.length
  return { ...start, notices: copyNotices(await repeatedRows(images, n, images.length / n), n) }
}

/** What a run holds on the device. */
export interface PreparedRun {
  readonly state: RunState
  readonly sourceIds: Int32Array
  /** Absent where a run is only planned. */
  readonly start?: InitialImages
  /** Replaced when the learning rate is. */
  work: Iterations
  /** The iterations with the learning rate after so many rollbacks. */
  readonly open: (rollbacks: number) => Iterations
}

/**
 * Throws `out_of_memory` when what `prepare` reserves on the device, with what checkpoints and kept answers will take, is more than was free:
 * the system would hand it out and end the process when it is written to, hours later perhaps.
 */
function prepareWithin({ device, checkpoints }: LoopOptions, { dataset, settings }: Task, prepare: () => PreparedRun): PreparedRun {
  const { method } = settings
  const free = freeBytes(device)
  const before = reserved(device)
  const lower =
    'trajectory' in method ? 'ipc, synBatch or innerSteps' : 'representation' in method ? 'n, realBatch or poolModels' : 'ipc or realBatch'
  const planner = 'representation' in method ? 'planRepresentations' : 'planRun'
  const todo = `lower ${lower}; ${planner} (on the command line: aludel plan) finds the largest that fit`
  let run: PreparedRun
  try {
    run = prepare()
  } catch (error) {
    if (!(error instanceof AludelError && error.code === 'out_of_memory')) throw error
    throw new AludelError('out_of_memory', `distill: ${error.message}; ${todo}`, { cause: error })
  }
  const state = checkpoints ? run.state.bytes : 0
  try {
    checkFits(device.isa, { device: reserved(device) - before, state, table: tableOf(dataset, settings) }, free, todo)
    return run
  } catch (error) {
    run.state.dispose()
    run.work.dispose()
    throw error
  }
}

/** Bytes of all answers of a teacher that a run keeps. */
const tableOf = ({ shape }: Dataset, settings: ResolvedSettings): number =>
  isRepresentation(settings) && settings.table ? tableBytes(shape[0], variantCount(settings.crop), settings.dim) : 0

function reserved(device: Device): number {
  const { arrayBytes, constantBytes, workspaceBytes } = device.memory()
  return arrayBytes + constantBytes + workspaceBytes
}

/** Builds the programs of a run and its state on the device. Without `start` the images begin as zeros: enough to plan by. */
export function prepareRun(
  dataset: Dataset,
  settings: ResolvedSettings,
  device: Device,
  { start, rollbacks = 0 }: { readonly start?: InitialImages; readonly rollbacks?: number } = {},
): PreparedRun {
  const open = (count: number) => openIterations(device, dataset, loweredRates(settings, count), start)
  const { work, state } = allOrNothing((own) => {
    const opened = own(open(rollbacks))
    return { work: opened, state: own(new RunState(device, declareState(settings, opened, start?.images))) }
  })
  return { state, sourceIds: start?.sourceIds ?? new Int32Array(0), ...(start && { start }), work, open }
}

/** Settings with all outer rates as they are after so many rollbacks. */
function loweredRates<R extends ResolvedSettings>(settings: R, rollbacks: number): R {
  const rateShare = rollbackFactor ** rollbacks
  return { ...settings, imageLr: settings.imageLr * rateShare, rateShare }
}

const dataOf = ({ classes, mean, std, flip }: Dataset) => ({ classes, mean, std, flip })

function declareState(
  { onDivergence }: ResolvedSettings,
  { stateShape, extraState, extraCounters }: Iterations,
  start?: Float32Array,
): StateDeclaration {
  const matching: StateDeclaration = {
    tensors: { images: { shape: stateShape, ...(start && { start }) }, velocity: { shape: stateShape }, ...extraState },
    counters: { step: 0, rollbacks: 0, ...extraCounters },
  }
  return onDivergence === 'rollback' ? withRollback(matching) : matching
}

function pushStart(
  stream: EventStream,
  dataset: Dataset,
  { config, iterations }: ResolvedSettings,
  { state, start, work: { plans } }: PreparedRun,
  loaded: LoadedCheckpoint | undefined,
): void {
  const { step, rollbacks } = state.counters
  const plannedBytes = Math.max(...Object.values(plans).map((plan) => plan.arenaBytes))
  const from = loaded ? { step, rollbacks } : {}
  stream.push({ type: 'start', iterations, classes: dataset.classes.length, config, plannedBytes, plans, ...from })
  for (const message of start?.notices ?? []) stream.push({ type: 'notice', message })
  for (const reason of loaded?.damaged ?? []) {
    stream.push({ type: 'notice', message: `${reason}. The run continues from the checkpoint before, at step ${step}` })
  }
}

interface Course {
  readonly stream: EventStream
  readonly control: { readonly stopped: boolean }
  readonly checkpointer: Checkpointer
  readonly seconds: () => number
  readonly signal: AbortSignal | undefined
}

/** Goes on to the last step or until stopped, and saves what was reached; goes back where the run diverges and may. */
async function advance(run: PreparedRun, settings: ResolvedSettings, course: Course): Promise<void> {
  const { state } = run
  await run.work.load?.(state.arrays as IterationState)
  await begin(run, course)
  for (;;) {
    try {
      // what begin() has drawn is no declared start: a run that goes back before its first kept state goes back to here
      if (settings.onDivergence === 'rollback' && state.counters.step === 0) await keepState(state)
      await replaySteps(run, settings, course)
      await checkFinite(await state.read(), state.counters.step)
      if (run.work.isOver?.(state.counters.step)) {
        const message = `the run ends after step ${state.counters.step}: held-out images were answered best after step ${run.work.bestStep}, and the set is of there`
        course.stream.push({ type: 'notice', message })
      }
      return await course.checkpointer.finish(state.counters.step)
    } catch (error) {
      if (!(error instanceof Divergence)) throw error
      await goBack(run, settings, course, error)
    }
  }
}

/** Warm-up events come at most so often. */
const tellSeconds = 0.5

/** What is to be done before the first step; a run that is stopped meanwhile is saved as far as it came. */
async function begin({ state, work }: PreparedRun, { stream, control, checkpointer, seconds, signal }: Course): Promise<void> {
  let told = Number.NEGATIVE_INFINITY
  const { step } = state.counters
  await work.begin?.(state.arrays as IterationState, {
    step,
    ...(signal && { signal }),
    async look({ done, total }) {
      throwIfAborted(signal)
      if (seconds() - told >= tellSeconds || done === total) {
        told = seconds()
        stream.push({ type: 'warm-up', done, total })
      }
      await checkpointer.lookWithin(step)
      return !control.stopped
    },
  })
}

async function replaySteps(run: PreparedRun, settings: ResolvedSettings, course: Course): Promise<void> {
  const { control, checkpointer, signal } = course
  const { counters } = run.state
  let chunk = 1
  while (counters.step < settings.iterations && !control.stopped && !run.work.isOver?.(counters.step)) {
    throwIfAborted(signal)
    const toKeep = settings.onDivergence === 'rollback' ? rollbackEvery - (counters.step % rollbackEvery) : Number.POSITIVE_INFINITY
    const n = Math.min(chunk, settings.iterations - counters.step, checkpointer.room(counters.step), toKeep)
    const elapsed = await replayChunk(run, settings, course, n)
    if (elapsed < chunkSeconds / 2 && chunk < run.work.most) chunk *= 2
    if (elapsed > chunkSeconds * 2 && chunk > 1) chunk /= 2
    if (Number.isFinite(toKeep) && counters.step % rollbackEvery === 0) await keepState(run.state)
    await checkpointer.look(counters.step)
  }
}

/** Seconds that `n` steps took. Throws `Divergence` for a loss that is not finite; the steps before it count as done. */
async function replayChunk(run: PreparedRun, settings: ResolvedSettings, { stream, seconds, signal }: Course, n: number): Promise<number> {
  const { state, work } = run
  const first = state.counters.step
  const before = seconds()
  const onPruning = (event: PruningEvent) => stream.push(event)
  const outcomes = new Map<number, StepOutcome>()
  const onOutcome = (iteration: number, outcome: StepOutcome) => outcomes.set(iteration, outcome)
  const losses = await work.run(state.arrays as IterationState, { first, n, onPruning, onOutcome, ...(signal && { signal }) })
  const elapsed = seconds() - before
  const imagesPerSecond = (n * work.imagesPerIteration) / elapsed
  for (const [i, loss] of losses.entries()) {
    if (!Number.isFinite(loss)) throw await divergenceAt(state, first + i, loss)
    const time = before + (elapsed * (i + 1)) / n
    const told = eventOf(outcomes.get(first + i), state)
    stream.push({ type: 'step', step: first + i + 1, iterations: settings.iterations, loss, seconds: time, imagesPerSecond, ...told })
    state.counters.step = first + i + 1
  }
  return elapsed
}

/** Counts what became of an iteration, and what its event says of it. */
function eventOf(outcome: StepOutcome | undefined, { counters }: RunState): Partial<StepEvent> {
  if (!outcome) return {}
  const { skipped, guarded, ...told } = outcome
  if (skipped) counters.skips++
  if (guarded) counters.guards++
  return { ...told, ...(skipped !== undefined && { skipped }), ...(guarded && { guarded }) }
}

/** A loss that is not finite, and the tensor that made it so when there is one. */
async function divergenceAt(state: RunState, done: number, loss: number): Promise<Divergence> {
  const broken = await checkFinite(await state.read(), done).then(
    () => '',
    (error) => `: ${error.message}`,
  )
  return new Divergence(`the loss of step ${done + 1} is ${loss}${broken}`)
}

/** Takes the run back to the state kept, with lower learning rates. Throws `not_finite` when it must not or has done so too often. */
async function goBack(run: PreparedRun, settings: ResolvedSettings, { stream, checkpointer }: Course, cause: Divergence): Promise<void> {
  const { state } = run
  await checkpointer.settle()
  if (settings.onDivergence !== 'rollback' || state.counters.rollbacks >= mostRollbacks) {
    const tried = settings.onDivergence === 'rollback' ? `, after ${mostRollbacks} rollbacks` : ''
    const kept = checkpointer.saved === undefined ? '' : `; nothing was saved after step ${checkpointer.saved}`
    const isTrajectory = 'trajectory' in settings.method
    const students = isTrajectory ? ', or what trains the student: startLr, lrLr, innerSteps (--set)' : ''
    // networks of a pool diverge by a rate of their own
    const withoutLabels = 'representation' in settings.method
    const poolRate = withoutLabels ? 'innerLr' : 'regression' in settings.method && 'networkLr' in settings.methodOptions && 'networkLr'
    const pool = poolRate ? `, or the rate that networks are trained at (${poolRate}, --set)` : ''
    const learned = isTrajectory ? [] : Object.keys(run.work.rates ?? {})
    const others = learned.length > 0 ? `, or what else is learned by: ${learned.join(', ')} (--set)` : ''
    const lower = `lower the learning rate of the pixels (imageLr, on the command line --image-lr)${students}${others}${pool}`
    const rate = tried === '' ? `${lower}, or let the run go back (onDivergence 'rollback', --on-divergence rollback)` : lower
    // no rate but that of a student or of a pool has acted before the first step has ended
    const start = 'look at the normalisation of the data (mean, std) and at the weights that the network starts with'
    const pooled =
      'lower the rate that the networks of the pool are trained at (innerLr, --set), or scale large targets (targetScaling=globalStd)'
    const first = withoutLabels ? `${pooled}; ${start}` : start
    const todo = state.counters.step === 0 && !isTrajectory ? first : rate
    throw new AludelError('not_finite', `${cause.message}${tried}${kept}: ${todo}`, { cause })
  }
  await rollBack(state)
  const { step, rollbacks } = state.counters
  run.work.dispose()
  run.work = run.open(rollbacks)
  await run.work.load?.(state.arrays as IterationState)
  const { imageLr } = loweredRates(settings, rollbacks)
  const { rates = {} } = run.work
  stream.push({ type: 'rollback', to: step, rollbacks, imageLr, ...(Object.keys(rates).length > 0 && { rates }), reason: cause.message })
}

async function collectSet({ dataset, settings }: Task, { state, sourceIds, work }: PreparedRun, device: Device): Promise<SyntheticSet> {
  const { ipc } = settings
  const [first, end] = work.ownClasses ?? [0, dataset.classes.length]
  const count = (end - first) * ipc
  const [, height, width, channels] = dataset.shape
  const pixels = ipc * height * width * channels
  const { step, rollbacks, skips, guards } = state.counters
  const { bestStep = 0 } = work
  const arrays = bestStep > 0 ? bestArrays(state.arrays) : state.arrays
  // the average, or the images times a matrix, where there is one
  const reached = (await (arrays.ema ?? arrays.shown ?? arrays.images).read()) as Float32Array
  const { parametrise } = settings
  const images = parametrise ? await imagesOf(parametrise, reached, [height, width, channels], device) : reached
  return createSyntheticSet({
    images: images.subarray(first * pixels, end * pixels),
    shape: [count, height, width, channels],
    labels: Int32Array.from({ length: count }, (_, i) => first + Math.floor(i / ipc)),
    classes: dataset.classes,
    mean: dataset.mean,
    std: dataset.std,
    flip: dataset.flip,
    // rows are numbered in the data set that the subset was taken of
    source: { name: dataset.name, split: dataset.split, sha256: dataset.part?.of ?? dataset.sha256 },
    config: {
      ...settings.config,
      steps: step,
      ...(bestStep > 0 && { bestStep }),
      ...(rollbacks > 0 && { rollbacks }),
      ...(skips > 0 && { skips }),
      ...(guards > 0 && { guards }),
    },
    sourceIds: rowsOfWhole(dataset, sourceIds.subarray(first * ipc, end * ipc)),
    ...(dataset.whitened && { whitening: dataset.whitened.whitening }),
    ...(await learned(arrays)),
  })
}

/** What a run learned beside the images. */
async function learned({
  labelLogits,
  targets,
  learningRate,
}: RunState['arrays']): Promise<Pick<SyntheticSetFields, 'labelLogits' | 'targets' | 'learningRate'>> {
  return {
    ...(labelLogits && { labelLogits: (await labelLogits.read()) as Float32Array }),
    ...(targets && { targets: (await targets.read()) as Float32Array }),
    ...(learningRate && { learningRate: ((await learningRate.read()) as Float32Array)[0] }),
  }
}

/** The iterations of the method's kind. */
function openIterations(device: Device, dataset: Dataset, settings: ResolvedSettings, start?: InitialImages): Iterations {
  const { method, dynamic } = settings
  if (isRepresentation(settings)) return new RepresentationIterations(device, dataset, settings, start as RepresentationStart | undefined)
  if ('representation' in method) throw new AludelError('internal', `${method.name}: its targets are a teacher's, but there is none`)
  if ('trajectory' in method) return new TrajectoryIterations(device, dataset.classes.length, { ...settings, method }, start)
  if ('regression' in method) {
    const { solved } = method.regression(settings.methodOptions)
    if (solved) return new LabelSolveIterations(device, dataset, { ...settings, method })
    return new LabelIterations(device, dataset, { ...settings, method }, start)
  }
  // A class gives at most all it has: rows beyond the largest class would be padding in every step.
  const realBatch = Math.min(settings.realBatch, Math.max(...dataset.classes.map((_, c) => dataset.classIndices(c).length)))
  if ('distance' in method) return new GradientIterations(device, dataset, { ...settings, method, realBatch })
  if (dynamic) return new DynamicIterations(device, dataset, { ...settings, method, dynamic, realBatch })
  return lossIterations(device, dataset, { ...settings, method, realBatch })
}

const isRepresentation = (settings: ResolvedSettings): settings is RepresentationSettings => 'dim' in settings

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortError(signal.reason)
}
