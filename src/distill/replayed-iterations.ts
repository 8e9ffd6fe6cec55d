/**
 * @file Iterations whose steps are replays of their own, one for each group of classes, or whose real rows are read from the disk: each replay
 * finds its rows in a slot of a ring, filled while the one before computes.
 */
import type { Dataset } from '../data/dataset.js'
import type { Sampler } from '../data/sampler.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import type { BoundProgram } from '../engine/bound-program.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { Turn } from '../event-loop.js'
import { ringSlots, ringSource, rowSource, writePixels } from '../preprocess/row-source.js'
import type { IterationRange, IterationState, Iterations } from './iterations.js'
import { drawTheta, type LossSettings, sharedArrays } from './matching-loop.js'
import { buildMatchingStep, chunkSlots, type StepShape } from './matching-step.js'
import { Prefetch } from './prefetch.js'
import { realSampler } from './scheduled-rows.js'
import type { ClassRange } from './shard.js'

type Arrays = Readonly<Record<string, DeviceArray>>

export interface Replays {
  /** Classes of one replay. */
  readonly perGroup: number
  /** Classes that the run is to distil, whole groups of them or, where there is one group, a part of it. */
  readonly own: ClassRange
}

/** No class may be empty, and some must have `realBatch` images. */
export class ReplayedIterations implements Iterations {
  readonly most = chunkSlots
  readonly plans: Iterations['plans']
  readonly imagesPerIteration: number
  readonly flopsPerIteration: number
  readonly stateShape: Iterations['stateShape']
  readonly ownClasses: ClassRange
  readonly #settings: LossSettings
  readonly #sampler: Sampler
  readonly #step: BoundProgram
  readonly #arrays: Arrays
  readonly #prefetch: Prefetch | undefined
  /** Groups in all, and those that are run. */
  readonly #groups: number
  readonly #first: number
  readonly #end: number
  readonly #perGroup: number
  /** Classes whose rows a replay reads, within its group. */
  readonly #window: ClassRange

  constructor(device: Device, dataset: Dataset, settings: LossSettings, { perGroup, own }: Replays) {
    const { realBatch, ipc } = settings
    const classes = dataset.classes.length
    const groups = classes / perGroup
    const image = dataset.shape.slice(1) as [number, number, number]
    const sampler = realSampler(dataset, { ...settings, perClass: realBatch })
    const realRows = perGroup * realBatch
    const window: ClassRange = groups === 1 ? own : [0, perGroup]
    const shape: StepShape = {
      rows: dataset.pixels ? ringSource(dataset, realRows) : rowSource(dataset),
      image,
      classes: perGroup,
      realRows,
      padded: sampler.counts.some((count) => count < realBatch),
      groups,
      ...(window[1] - window[0] < perGroup && { window }),
    }
    this.#settings = settings
    this.#sampler = sampler
    this.#groups = groups
    this.#perGroup = perGroup
    this.#first = Math.floor(own[0] / perGroup)
    this.#end = Math.ceil(own[1] / perGroup)
    this.#window = window
    const made = allOrNothing((own) => {
      const make: Device['array'] = (...array) => own(device.array(...array))
      return { step: own(buildMatchingStep(device, settings, shape)), arrays: makeArrays(make, settings, shape, sampler) }
    })
    this.#step = made.step
    this.#arrays = made.arrays
    this.#prefetch = dataset.pixels && new Prefetch(dataset.pixels, this.#rowsByPlace(settings.iterations))
    const replays = this.#end - this.#first
    this.ownClasses = own
    this.stateShape = [groups, perGroup * ipc, ...(settings.parametrise?.shape ?? image)]
    this.plans = { [groups === 1 ? 'step' : `step of ${perGroup} classes`]: made.step.plan }
    this.imagesPerIteration = (own[1] - own[0]) * (realBatch + ipc)
    this.flopsPerIteration = replays * made.step.plan.flops
  }

  async run(state: IterationState, { first, n, signal }: IterationRange): Promise<readonly number[]> {
    const losses: number[] = []
    for (let step = first; step < first + n && losses.every(Number.isFinite); step++) losses.push(await this.#iterate(state, step, signal))
    return losses
  }

  /** The sum of the losses of the groups, in their order. */
  async #iterate(state: IterationState, step: number, signal: AbortSignal | undefined): Promise<number> {
    const arrays = { ...this.#arrays, ...state }
    const uploads = [arrays.iteration.write(Uint32Array.of(step)), ...this.#uploadTheta(arrays, step)]
    const aborting = signal && { signal }
    if (this.#prefetch) {
      await Promise.all([...uploads, this.#replayFromDisk(this.#prefetch, arrays, step, signal)])
    } else {
      const index = arrays.realIndex
      const rows = new Int32Array(index.shape[0] * index.shape[1])
      const turn = new Turn()
      for (let group = this.#first; group < this.#end; group++) {
        await turn.breathe()
        rows.set(this.#rowsOfGroup(step, group), group * index.shape[1])
      }
      const replays = { n: this.#end - this.#first, startStep: step * this.#groups + this.#first, ...aborting }
      // Uploads and run queue in this order; every one is awaited, so that none can fail unheard.
      await Promise.all([...uploads, index.write(rows), this.#step.run(arrays, replays)])
    }
    const losses = (await arrays.loss.read()) as Float32Array
    return losses.subarray(this.#first, this.#end).reduce((sum, loss) => sum + loss, 0)
  }

  /** Replay after replay: its rows are written behind the run before, which is waited for only then. */
  async #replayFromDisk(prefetch: Prefetch, arrays: Arrays, step: number, signal: AbortSignal | undefined): Promise<void> {
    const replays = this.#end - this.#first
    const { shape } = arrays.data
    const rowBytes = shape[2] * shape[3] * shape[4]
    const before = this.#window[0] * this.#settings.realBatch * rowBytes
    let running: Promise<unknown> = Promise.resolve()
    for (let group = this.#first; group < this.#end; group++) {
      const number = step * this.#groups + group
      const pixels = await prefetch.take(step * replays + group - this.#first)
      const at = (number % ringSlots) * shape[1] * rowBytes + before
      const written = await writePixels(arrays.data, at, pixels)
      const run = Promise.all([...written, this.#step.run(arrays, { startStep: number, ...(signal && { signal }) })])
      // what fails is heard below, at the latest when the next one is there
      run.catch(() => undefined)
      await running
      running = run
    }
    await running
  }

  #rowsByPlace(iterations: number) {
    const replays = this.#end - this.#first
    return {
      places: iterations * replays,
      rows: (place: number) => this.#rowsOfGroup(Math.floor(place / replays), this.#first + (place % replays)),
    }
  }

  #rowsOfGroup(step: number, group: number): Int32Array {
    const [first, end] = this.#window
    return this.#sampler.drawClasses(step, group * this.#perGroup + first, group * this.#perGroup + end)
  }

  #uploadTheta({ theta }: Arrays, step: number): Promise<void>[] {
    if (!theta) return []
    const [height, width] = this.#settings.network.input
    return [theta.write(drawTheta(this.#settings, step, { classes: this.#groups * this.#perGroup, height, width }))]
  }

  dispose(): void {
    for (const array of Object.values(this.#arrays)) array.dispose()
    this.#step.dispose()
  }
}

/** Everything but the state; what differs from group to group has the groups in front. */
function makeArrays(make: Device['array'], settings: LossSettings, shape: StepShape, sampler: Sampler): Record<string, DeviceArray> {
  const { classes, realRows, rows, padded, groups = 1 } = shape
  const classIndex = Int32Array.from({ length: realRows }, (_, i) => Math.floor(i / settings.realBatch))
  return {
    ...rows.arrays(make),
    ...sharedArrays(make, settings, classes, groups),
    iteration: make('u32', [1]),
    realClass: make('i32', [realRows], classIndex),
    realIndex: rows.gathered
      ? make(
          'i32',
          [realRows],
          Int32Array.from({ length: realRows }, (_, i) => i),
        )
      : make('i32', [groups, realRows]),
    realCounts: make('f32', [groups, classes, 1], Float32Array.from(sampler.counts)),
    ...(padded ? { realWeights: make('f32', [groups, realRows, 1], sampler.weights) } : {}),
  }
}
