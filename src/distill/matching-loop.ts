/** @file Iterations of a method with a loss: one step each, replayed in chunks whose draws are uploaded together. */
import { drawRow, thetaSize } from '../augment/dsa.js'
import type { Dataset } from '../data/dataset.js'
import type { Sampler } from '../data/sampler.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { fold, keyOf, purpose } from '../engine/tensor/key.js'
import { Turn } from '../event-loop.js'
import { rowSource } from '../preprocess/row-source.js'
import type { IterationRange, IterationState, Iterations } from './iterations.js'
import { buildMatchingStep, chunkSlots, type StepShape } from './matching-step.js'
import type { LossMethod } from './method.js'
import { realSampler } from './scheduled-rows.js'
import type { ResolvedSettings } from './settings.js'
import type { ClassRange } from './shard.js'

export type LossSettings = ResolvedSettings & { readonly method: LossMethod }

/** No class may be empty, and some must have `realBatch` images. Of the classes only `own` are distilled. */
export function matchingIterations(device: Device, dataset: Dataset, settings: LossSettings, own: ClassRange): Iterations {
  const { realBatch, ipc } = settings
  const classes = dataset.classes.length
  const sampler = realSampler(dataset, { ...settings, perClass: realBatch })
  const shape: StepShape = {
    rows: rowSource(dataset),
    image: dataset.shape.slice(1) as [number, number, number],
    classes,
    realRows: classes * realBatch,
    padded: sampler.counts.some((count) => count < realBatch),
    ...(own[1] - own[0] < classes && { window: own }),
  }
  const { step, arrays } = allOrNothing((own) => {
    const make: Device['array'] = (...array) => own(device.array(...array))
    return {
      step: own(buildMatchingStep(device, settings, shape)),
      arrays: {
        ...shape.rows.arrays(make),
        ...sharedArrays(make, settings, classes),
        ...realArrays(make, shape, chunkSlots),
        realCounts: make('f32', [classes, 1], Float32Array.from(sampler.counts)),
        ...(shape.padded ? { realWeights: make('f32', [shape.realRows, 1], sampler.weights) } : {}),
      },
    }
  })
  return {
    plans: { step: step.plan },
    imagesPerIteration: (own[1] - own[0]) * (realBatch + ipc),
    flopsPerIteration: step.plan.flops,
    most: chunkSlots,
    stateShape: [classes * ipc, ...(settings.parametrise?.shape ?? shape.image)],
    ownClasses: own,
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
  settings: LossSettings,
  { first, n, signal }: IterationRange,
): Promise<readonly number[]> {
  const { realIndex } = arrays
  const rows = realIndex.shape[1]
  const batches = new Int32Array(chunkSlots * rows)
  const turn = new Turn()
  for (let s = first; s < first + n; s++) {
    await turn.breathe()
    batches.set(sampler.draw(s), (s % chunkSlots) * rows)
  }
  const uploads = [realIndex.write(batches), ...(await uploadTheta(arrays, settings, sampler.counts.length, { first, n }))]
  // Uploads and run queue in this order; every one is awaited, so that none can fail unheard.
  await Promise.all([...uploads, step.run(arrays, { n, startStep: first, ...(signal && { signal }) })])
  return readLosses(arrays.loss, { first, n })
}

/** Starts the upload of the augmentation of steps [first, first + n) into their slots; none without augmentation. */
export async function uploadTheta(
  { theta }: Readonly<Record<string, DeviceArray>>,
  settings: Pick<ResolvedSettings, 'augment' | 'seed' | 'network'>,
  classes: number,
  { first, n }: Pick<IterationRange, 'first' | 'n'>,
): Promise<Promise<void>[]> {
  if (!theta) return []
  const rows = new Float32Array(chunkSlots * classes * thetaSize)
  const [height, width] = settings.network.input
  const turn = new Turn()
  for (let step = first; step < first + n; step++) {
    await turn.breathe()
    const slot = (step % chunkSlots) * classes * thetaSize
    rows.set(drawTheta(settings, step, { classes, height, width }), slot)
  }
  return [theta.write(rows)]
}

/** The augmentation of a step, a row a class. */
export function drawTheta(
  { augment, seed }: Pick<ResolvedSettings, 'augment' | 'seed'>,
  step: number,
  { classes, height, width }: { readonly classes: number; readonly height: number; readonly width: number },
): Float32Array {
  const rows = new Float32Array(classes * thetaSize)
  const address = { key: fold(keyOf(seed), 'augment'), purpose: purpose.augment, step }
  for (let c = 0; c < classes; c++) rows.set(drawRow(augment, address, c, height, width), c * thetaSize)
  return rows
}

export async function readLosses(loss: DeviceArray, { first, n }: Pick<IterationRange, 'first' | 'n'>): Promise<readonly number[]> {
  const losses = (await loss.read()) as Float32Array
  return Array.from({ length: n }, (_, i) => losses[(first + i) % chunkSlots])
}

/** Inputs of a step that do not depend on its real batch. */
export function sharedArrays(
  make: Device['array'],
  { ipc, augment, seed }: Pick<ResolvedSettings, 'ipc' | 'augment' | 'seed'>,
  classes: number,
  slots = chunkSlots,
): Record<string, DeviceArray> {
  return {
    key: make('u32', [2], Uint32Array.from(fold(keyOf(seed), 'network'))),
    syntheticClass: make('i32', [classes * ipc], classOfRows(classes, ipc)),
    syntheticCounts: make('f32', [classes, 1], new Float32Array(classes).fill(ipc)),
    ...(augment.operations.length > 0 ? { theta: make('f32', [slots, classes, thetaSize]) } : {}),
    loss: make('f32', [slots]),
  }
}

/** Rows of the real batch, and their classes: as many places for each. */
export const realArrays = (make: Device['array'], { classes, realRows }: Pick<StepShape, 'classes' | 'realRows'>, slots: number) => ({
  realIndex: make('i32', [slots, realRows]),
  realClass: make('i32', [realRows], classOfRows(classes, realRows / classes)),
})

const classOfRows = (classes: number, perClass: number): Int32Array =>
  Int32Array.from({ length: classes * perClass }, (_, i) => Math.floor(i / perClass))
