/** @file The only outer loop: owns the state arrays, uploads each chunk's draws, replays the step, reports, and ends cleanly whatever happens. */
import { drawRow, thetaSize } from '../augment/dsa.js'
import { asDataset, type Dataset, type DatasetInput } from '../data/dataset.js'
import { scaleShift } from '../data/normalize.js'
import { createSampler, type Sampler } from '../data/sampler.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { fold, keyOf, purpose } from '../engine/tensor/key.js'
import { AbortError, AludelError } from '../errors.js'
import { Turn } from '../event-loop.js'
import { createSyntheticSet } from '../experiment/synthetic-set.js'
import type { DistillOptions, DistillRun, SyntheticSet } from '../experiment/types.js'
import { EventStream } from './events.js'
import { GradientIterations } from './gradient-matching-loop.js'
import { initialImages } from './initial-images.js'
import type { IterationRange, IterationState, Iterations } from './iterations.js'
import { buildMatchingStep, chunkSlots, type StepShape } from './matching-step.js'
import { checkDistillOptions, type ResolvedSettings, resolveSettings } from './settings.js'

/** A chunk is replayed in one crossing; it grows until it lasts about this long, so that events and aborts stay prompt. */
const chunkSeconds = 0.25

/**
 * Distils `data` into `ipc` synthetic images per class. Fields that are no data set yet are made one as `createDataset` does.
 * Data and settings are checked at once (throws `invalid_option`, `not_found`, `invalid_data`, `detached`); everything later rejects
 * `result` and ends the iteration with the same error.
 */
export function distill(data: Dataset | DatasetInput, options: DistillOptions<Device>): DistillRun {
  checkDistillOptions(options)
  const dataset = asDataset(data)
  const settings = resolveSettings(dataset, options)
  const stream = new EventStream()
  const control = { stopped: false }
  const result = runLoop(dataset, settings, options, stream, control)
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

async function runLoop(
  dataset: Dataset,
  settings: ResolvedSettings,
  { device, signal }: DistillOptions<Device>,
  stream: EventStream,
  control: { stopped: boolean },
): Promise<SyntheticSet> {
  throwIfAborted(signal)
  await undefined // options errors throw from distill itself; everything below rejects
  const classes = dataset.classes.length
  const { iterations } = settings
  const image = dataset.shape.slice(1) as [number, number, number]
  const start = initialImages(dataset, settings)
  const { work, state } = allOrNothing((own) => {
    const opened = own(openIterations(device, dataset, settings))
    const images = own(device.array('f32', opened.stateShape, start.images))
    return { work: opened, state: { images, velocity: own(device.array('f32', opened.stateShape)) } }
  })
  try {
    const plannedBytes = Math.max(...Object.values(work.plans).map((plan) => plan.arenaBytes))
    stream.push({ type: 'start', iterations, classes, config: settings.config, plannedBytes })
    const startTime = performance.now()
    const seconds = () => (performance.now() - startTime) / 1000
    let done = 0
    let chunk = 1
    while (done < iterations && !control.stopped) {
      throwIfAborted(signal)
      const n = Math.min(chunk, iterations - done)
      const before = seconds()
      const losses = await work.run(state, { first: done, n, ...(signal && { signal }) })
      const bad = losses.findIndex((loss) => !Number.isFinite(loss))
      if (bad >= 0) {
        throw new AludelError(
          'not_finite',
          `the loss of step ${done + bad + 1} is ${losses[bad]}: the run ends without images; lower the learning rate of the pixels (imageLr, on the command line --image-lr)`,
        )
      }
      const elapsed = seconds() - before
      for (const [i, loss] of losses.entries()) {
        const imagesPerSecond = (n * work.imagesPerIteration) / elapsed
        stream.push({ type: 'step', step: done + i + 1, iterations, loss, seconds: before + (elapsed * (i + 1)) / n, imagesPerSecond })
      }
      done += n
      if (elapsed < chunkSeconds / 2 && chunk < work.most) chunk *= 2
      if (elapsed > chunkSeconds * 2 && chunk > 1) chunk /= 2
    }
    const images = (await state.images.read()) as Float32Array
    const set = createSyntheticSet({
      images,
      shape: [classes * settings.ipc, ...image],
      labels: Int32Array.from({ length: classes * settings.ipc }, (_, i) => Math.floor(i / settings.ipc)),
      classes: dataset.classes,
      mean: dataset.mean,
      std: dataset.std,
      flip: dataset.flip,
      source: { name: dataset.name, split: dataset.split, sha256: dataset.sha256 },
      config: { ...settings.config, steps: done },
      sourceIds: start.sourceIds,
    })
    stream.end({ last: { type: 'done', step: done, iterations, seconds: seconds(), stopped: done < iterations } })
    return set
  } finally {
    for (const array of Object.values(state)) array.dispose()
    work.dispose()
  }
}

/** The iterations of the method's kind. */
function openIterations(device: Device, dataset: Dataset, settings: ResolvedSettings): Iterations {
  const { method } = settings
  // A class gives at most all it has: rows beyond the largest class would be padding in every step.
  const realBatch = Math.min(settings.realBatch, Math.max(...dataset.classes.map((_, c) => dataset.classIndices(c).length)))
  if ('distance' in method) return new GradientIterations(device, dataset, { ...settings, method, realBatch })
  const classes = dataset.classes.length
  const sampler = createSampler({ dataset, perClass: realBatch, seed: settings.seed, purpose: purpose.realBatch })
  const shape: StepShape = {
    rows: dataset.shape[0],
    image: dataset.shape.slice(1) as [number, number, number],
    classes,
    realRows: classes * realBatch,
    padded: sampler.counts.some((count) => count < realBatch),
  }
  const { step, arrays } = allOrNothing((own) => ({
    step: own(buildMatchingStep(device, { ...settings, method }, shape)),
    arrays: uploadInputs((...array) => own(device.array(...array)), dataset, settings, shape, sampler),
  }))
  return {
    plans: { step: step.plan },
    imagesPerIteration: shape.realRows + classes * settings.ipc,
    most: chunkSlots,
    stateShape: [classes * settings.ipc, ...shape.image],
    run: (state, range) => replay(step, { ...arrays, ...state }, sampler, settings, range),
    dispose() {
      for (const array of Object.values(arrays)) array.dispose()
      step.dispose()
    },
  }
}

/** Uploads the draws of steps [first, first + n) into their slots, replays them in one crossing and returns their losses. */
async function replay(
  step: ReturnType<typeof buildMatchingStep>,
  arrays: Readonly<Record<string, DeviceArray>> & IterationState,
  sampler: Sampler,
  settings: ResolvedSettings,
  { first, n, signal }: IterationRange,
): Promise<number[]> {
  const { realIndex, theta } = arrays
  const batches = new Int32Array(realIndex.shape[0] * realIndex.shape[1])
  const rows = theta ? new Float32Array(theta.shape[0] * theta.shape[1] * thetaSize) : undefined
  const augmentKey = fold(keyOf(settings.seed), 'augment')
  const [, height, width] = arrays.data.shape
  const classes = sampler.counts.length
  const turn = new Turn()
  for (let s = first; s < first + n; s++) {
    await turn.breathe()
    const slot = s % chunkSlots
    batches.set(sampler.draw(s), slot * realIndex.shape[1])
    for (let c = 0; rows && c < classes; c++) {
      const row = drawRow(settings.augment, { key: augmentKey, purpose: purpose.augment, step: s }, c, height, width)
      rows.set(row, (slot * classes + c) * thetaSize)
    }
  }
  // Uploads and run queue in this order; every one is awaited, so that none can fail unheard.
  const uploads = [realIndex.write(batches), ...(theta && rows ? [theta.write(rows)] : [])]
  await Promise.all([...uploads, step.run(arrays, { n, startStep: first, ...(signal && { signal }) })])
  const losses = (await arrays.loss.read()) as Float32Array
  return Array.from({ length: n }, (_, i) => losses[(first + i) % chunkSlots])
}

function uploadInputs(
  make: Device['array'],
  dataset: Dataset,
  { ipc, augment, seed }: ResolvedSettings,
  { rows, image, classes, realRows, padded }: StepShape,
  sampler: Sampler,
): Record<string, DeviceArray> {
  const syntheticRows = classes * ipc
  const { scale, shift } = scaleShift(dataset)
  const classOf = (perClass: number) => Int32Array.from({ length: classes * perClass }, (_, i) => Math.floor(i / perClass))
  return {
    data: make('u8', [rows, ...image], dataset.images),
    scale: make('f32', [scale.length], scale),
    shift: make('f32', [shift.length], shift),
    key: make('u32', [2], Uint32Array.from(fold(keyOf(seed), 'network'))),
    realIndex: make('i32', [chunkSlots, realRows]),
    realClass: make('i32', [realRows], classOf(realRows / classes)),
    syntheticClass: make('i32', [syntheticRows], classOf(ipc)),
    realCounts: make('f32', [classes, 1], Float32Array.from(sampler.counts)),
    syntheticCounts: make('f32', [classes, 1], new Float32Array(classes).fill(ipc)),
    ...(padded ? { realWeights: make('f32', [realRows, 1], sampler.weights) } : {}),
    ...(augment.operations.length > 0 ? { theta: make('f32', [chunkSlots, classes, thetaSize]) } : {}),
    loss: make('f32', [chunkSlots]),
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortError(signal.reason)
}
