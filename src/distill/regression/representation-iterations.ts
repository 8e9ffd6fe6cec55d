/**
 * @file Iterations of KRR-ST (arXiv 2310.06511): an outer step on images and targets through one network of the pool, then a visit to that
 * network. The real images of the next step and the teacher's answers to them are made ready while this one computes.
 */
import type { Dataset } from '../../data/dataset.js'
import { scaleShift } from '../../data/normalize.js'
import { allOrNothing, type Own } from '../../engine/all-or-nothing.js'
import { type BoundProgram, bindProgram } from '../../engine/bound-program.js'
import { concat, div, imageGather, reshape, sqrt, squaredNorm, sub, type Value } from '../../engine/index.js'
import type { DeviceArray } from '../../engine/runtime/array.js'
import type { Device } from '../../engine/runtime/device.js'
import { type Key, keyOf } from '../../engine/tensor/key.js'
import { sizeOf } from '../../engine/tensor/shape.js'
import { AludelError } from '../../errors.js'
import type { MomentState } from '../../optim/moments.js'
import { linearSchedule } from '../../optim/schedules.js'
import type { Teacher } from '../../teachers/teacher.js'
import { parametersOf, stateOf } from '../gradient-step.js'
import type { BeginOptions, IterationRange, IterationState, Iterations } from '../iterations.js'
import type { ResolvedSettings } from '../settings.js'
import { type Moved, outerGradients, outerUpdate } from './outer-step.js'
import { frozenInputs, PoolNetworks } from './pool-networks.js'
import { pickAt } from './pool-schedule.js'
import { type CropRule, RealBatches, variantCount } from './real-batches.js'
import { checkSolved, driftNumbers, regressionRecord } from './regression-record.js'
import type { TeacherRegression } from './settings.js'
import type { RepresentationStart } from './start.js'
import { TeacherTargets } from './teacher-targets.js'

export interface RepresentationSettings extends ResolvedSettings {
  readonly regression: TeacherRegression
  /** Numbers of one target. */
  readonly dim: number
  readonly crop: CropRule
  readonly table: boolean
  /** Absent where a run is only planned. */
  readonly teacher?: Teacher
}

/** Iterations that one call runs at most: their losses are told together. */
const mostIterations = 16

/** All that an outer step needs, on the host. */
interface Prepared {
  readonly real: Uint8Array
  readonly targets: Float32Array
}

/** State of AdamW beside the loop's own `velocity`, which is the mean of the images' gradients. */
const imageMoments = { mean: 'velocity', square: 'imageSquares', meanWeight: 'imageMeanWeight', squareWeight: 'imageSquareWeight' } as const
const targetMoments = {
  ...{ mean: 'targetVelocity', square: 'targetSquares' },
  ...{ meanWeight: 'targetMeanWeight', squareWeight: 'targetSquareWeight' },
} as const

export class RepresentationIterations implements Iterations {
  readonly most = mostIterations
  readonly plans: Iterations['plans']
  readonly imagesPerIteration: number
  readonly flopsPerIteration: number
  readonly flopsBefore: number
  readonly stateShape: Iterations['stateShape']
  readonly extraState: NonNullable<Iterations['extraState']>
  readonly #settings: RepresentationSettings
  readonly #key: Key
  readonly #pool: PoolNetworks
  readonly #outer: BoundProgram
  readonly #arrays: Readonly<Record<string, DeviceArray>>
  readonly #batches: RealBatches
  readonly #targets: TeacherTargets | undefined
  readonly #prepared = new Map<number, Promise<Prepared>>()
  /** Images that were the same at the start, and are as long as nothing tells them apart. */
  readonly #equal: RepresentationStart['equal']

  /** Without a teacher nothing can be run: enough to plan by. `start` is what the state begins as. */
  constructor(device: Device, dataset: Dataset, settings: RepresentationSettings, start?: RepresentationStart) {
    const { network, ipc: n, realBatch, seed, regression, dim, crop, teacher, table } = settings
    this.#settings = settings
    this.#key = keyOf(seed)
    this.#equal = start?.equal ?? []
    const images = [n, ...network.input]
    const targets = [n, dim]
    this.#batches = new RealBatches(dataset, { size: realBatch, rule: crop, key: this.#key })
    this.#targets =
      teacher &&
      new TeacherTargets({
        ...{ teacher, batches: this.#batches, scale: start?.scale ?? 1 },
        ...(table && { table: { variants: variantCount(crop) } }),
      })
    const made = allOrNothing((own) => ({
      pool: own(new PoolNetworks(device, { network, pool: regression.pool, images, targets }, this.#key)),
      outer: own(outerProgram(device, settings)),
      arrays: makeArrays(own, device, dataset, settings, start),
    }))
    this.#pool = made.pool
    this.#outer = made.outer
    this.#arrays = made.arrays
    this.stateShape = images
    this.extraState = {
      ...made.pool.declared,
      targets: { shape: targets, ...(start && { start: start.targets }) },
      ...Object.fromEntries(momentShapes(images, targets)),
    }
    this.plans = { outer: made.outer.plan, ...made.pool.plans }
    this.flopsPerIteration = made.outer.plan.flops + made.pool.plans.train.flops
    this.flopsBefore = made.pool.warmUpFlops
    this.imagesPerIteration = realBatch + 2 * n
  }

  load(state: IterationState): Promise<void> {
    return this.#pool.load(state)
  }

  async begin(state: IterationState, { step, look, signal }: BeginOptions): Promise<void> {
    if (step === 0) await this.#pool.warmUp(state, look, signal)
  }

  async run(state: IterationState, { first, n, signal, onOutcome }: IterationRange): Promise<readonly number[]> {
    const losses: number[] = []
    for (let step = first; step < first + n && losses.every(Number.isFinite); step++) {
      const prepared = await this.#take(step, signal)
      const { pool } = this.#settings.regression
      const network = pickAt(this.#key, step, pool.models)
      const arrays = { ...this.#arrays, ...state }
      // Uploads and runs queue in this order; every one is awaited, so that none can fail unheard.
      await Promise.all([
        arrays.real.write(prepared.real),
        arrays.realTargets.write(prepared.targets),
        arrays.lr.write(Float32Array.of(this.#rate(step))),
        this.#outer.run(arrays, { startStep: network, ...(signal && { signal }) }),
        this.#pool.visit(state, { network, step }, signal),
      ])
      const [loss, info, drift] = await Promise.all([arrays.loss.read(), arrays.info.read(), arrays.drift.read()])
      checkSolved(info, drift, { n: this.#settings.ipc, step, equal: this.#equal })
      onOutcome?.(step, { regression: regressionRecord(info, drift) })
      losses.push(loss[0])
    }
    return losses
  }

  /** After `step` completed steps. */
  #rate(step: number): number {
    const { imageLr, iterations, regression } = this.#settings
    return linearSchedule(imageLr, iterations, regression.lrEnd)(step)
  }

  /** What `step` needs, and begins to make the next ready. */
  #take(step: number, signal: AbortSignal | undefined): Promise<Prepared> {
    for (const other of [...this.#prepared.keys()]) if (other !== step) this.#prepared.delete(other)
    const taken = this.#start(step, signal)
    this.#prepared.delete(step)
    if (step + 1 < this.#settings.iterations) this.#start(step + 1, signal)
    return taken
  }

  #start(step: number, signal: AbortSignal | undefined): Promise<Prepared> {
    const known = this.#prepared.get(step)
    if (known) return known
    const preparing = this.#prepare(step, signal)
    // heard by whoever takes it; one that nobody takes must not end the process
    preparing.catch(() => undefined)
    this.#prepared.set(step, preparing)
    return preparing
  }

  async #prepare(step: number, signal: AbortSignal | undefined): Promise<Prepared> {
    if (!this.#targets) throw new AludelError('internal', 'a run of KRR-ST without a teacher was begun')
    const batch = await this.#batches.at(step)
    const real = await this.#batches.pixels(batch)
    return { real, targets: await this.#targets.of(batch, real, signal) }
  }

  dispose(): void {
    this.#prepared.clear()
    this.#pool.dispose()
    this.#outer.dispose()
    for (const array of Object.values(this.#arrays)) array.dispose()
  }
}

/** Moments of images and targets, by name; the loop declares `velocity`. */
function momentShapes(images: readonly number[], targets: readonly number[]) {
  return [
    ...[[imageMoments.square, images] as const, [targetMoments.mean, targets] as const, [targetMoments.square, targets] as const],
    ...[imageMoments, targetMoments].flatMap(({ meanWeight, squareWeight }) => [[meanWeight, []] as const, [squareWeight, []] as const]),
  ].map(([name, shape]) => [name, { shape: shape as readonly number[] }] as const)
}

function makeArrays(own: Own, device: Device, dataset: Dataset, settings: RepresentationSettings, start?: RepresentationStart) {
  const { network, ipc: n, realBatch, dim } = settings
  const make: Device['array'] = (...array) => own(device.array(...array))
  const { scale, shift } = scaleShift(dataset)
  const rows = Int32Array.from({ length: realBatch }, (_, i) => i)
  return {
    real: make('u8', [realBatch, ...network.input]),
    realIndex: make('i32', [realBatch], rows),
    scale: make('f32', [scale.length], scale),
    shift: make('f32', [shift.length], shift),
    realTargets: make('f32', [realBatch, dim]),
    lr: make('f32', []),
    startImages: make('f32', [n, ...network.input], start?.images),
    startTargets: make('f32', [n, dim], start?.targets),
    loss: make('f32', []),
    info: make('f64', [6]),
    drift: make('f32', [driftNumbers]),
  }
}

const movedOf = (v: Readonly<Record<string, Value>>, parameter: Value, names: Readonly<Record<keyof MomentState, string>>): Moved => ({
  parameter,
  state: { mean: v[names.mean], square: v[names.square], meanWeight: v[names.meanWeight], squareWeight: v[names.squareWeight] },
})

const momentOutputs = ({ state }: Moved, names: Readonly<Record<keyof MomentState, string>>): Record<string, Value> =>
  Object.fromEntries(Object.entries(names).map(([key, name]) => [name, state[key as keyof MomentState]]))

/** Root of the mean square. */
const rms = (x: Value): Value => sqrt(div(squaredNorm(x), sizeOf(x.shape)))

function outerProgram(device: Device, { network, ipc: n, realBatch, dim, regression }: RepresentationSettings): BoundProgram {
  const images = [n, ...network.input]
  const targets = [n, dim]
  const channels = network.input[2]
  const { ridge, weightDecay, pool } = regression
  const carried = {
    images,
    velocity: images,
    targets,
    ...Object.fromEntries(momentShapes(images, targets).map(([name, { shape }]) => [name, shape])),
  }
  return bindProgram<string, string>(device, {
    inputs: {
      ...frozenInputs(network, pool),
      ...Object.fromEntries(Object.entries(carried).map(([name, shape]) => [name, { shape }])),
      real: { shape: [realBatch, ...network.input], dtype: 'u8' },
      realIndex: { shape: [realBatch], dtype: 'i32' },
      scale: { shape: [channels] },
      shift: { shape: [channels] },
      realTargets: { shape: [realBatch, dim] },
      lr: { shape: [] },
      startImages: { shape: images },
      startTargets: { shape: targets },
    },
    outputs: { ...Object.fromEntries(Object.keys(carried).map((name) => [name, { donate: name }])), loss: {}, info: {}, drift: {} },
    build(v) {
      const frozen = { network, parameters: parametersOf(network, v), state: stateOf(network, v) }
      const real = imageGather(v.real, v.realIndex, v.scale, v.shift)
      const step = outerGradients(frozen, { images: v.images, targets: v.targets, real, realTargets: v.realTargets }, ridge)
      const before = { images: movedOf(v, v.images, imageMoments), targets: movedOf(v, v.targets, targetMoments) }
      const next = outerUpdate(before, step, { lr: v.lr, weightDecay })
      const movedFrom = (images: Value, targets: Value) => [sub(images, v.startImages), sub(targets, v.startTargets)]
      const after = [next.images.parameter, next.targets.parameter] as const
      const moved = [...movedFrom(...after), after[1], ...movedFrom(v.images, v.targets)]
      const drift = moved.map((x) => reshape(rms(x), [1]))
      return {
        ...{ images: next.images.parameter, targets: next.targets.parameter },
        ...momentOutputs(next.images, imageMoments),
        ...momentOutputs(next.targets, targetMoments),
        ...{ loss: step.loss, info: step.info, drift: concat(drift) },
      }
    },
  })
}
