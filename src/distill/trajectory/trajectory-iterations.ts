/**
 * @file Iterations of trajectory matching (MTT 2203.11932, FTD 2211.11004, TESLA 2211.10586, DATM 2310.05773, PAD 2408.03360): a student starts
 * from an expert's parameters and is trained on the synthetic set; how far it ends from where the expert went is differentiated through
 * all of its steps. The expert's parameters and the draws of an iteration are made ready while the one before computes.
 */

import { thetaSize } from '../../augment/dsa.js'
import { allOrNothing, type Own } from '../../engine/all-or-nothing.js'
import type { DeviceArray } from '../../engine/runtime/array.js'
import type { Device } from '../../engine/runtime/device.js'
import { type Key, keyOf } from '../../engine/tensor/key.js'
import { sizeOf } from '../../engine/tensor/shape.js'
import { AludelError, expected } from '../../errors.js'
import type { ExpertStore } from '../../experts/store.js'
import { startEpochBound } from '../../schedule/start-epoch.js'
import type { InitialImages } from '../initial-images.js'
import type { IterationRange, IterationState, Iterations, StepOutcome } from '../iterations.js'
import type { TrajectoryMethod } from '../method.js'
import type { ResolvedSettings } from '../settings.js'
import { augmentationAt, expertAt, type MinibatchRows, minibatchesAt, startEpochAt } from './draws.js'
import { FlatOrder } from './flat-order.js'
import { depthMask, droppedCount, type KeptElements, lossMask } from './mask.js'
import { startEpochs, type TrajectorySettings } from './options.js'
import {
  endPrefix,
  maskedNames,
  maskPrefix,
  nextPrefix,
  outcomeNames,
  parameterPrefix,
  startPrefix,
  stateShapes,
  sweepShapes,
  type TrajectoryPrograms,
  type TrajectoryShape,
  targetPrefix,
  trajectoryPrograms,
} from './programs.js'

type Settings = ResolvedSettings & { readonly method: TrajectoryMethod }
type Arrays = Readonly<Record<string, DeviceArray>>
type Tensors = Readonly<Record<string, Float32Array>>

/** Iterations that one call runs at most: their losses are told together. */
const mostIterations = 16

/** All that an iteration needs, on the host. */
interface Prepared {
  readonly expert: number
  readonly startEpoch: number
  readonly start: Tensors
  readonly target: Tensors
  readonly rows: MinibatchRows
  readonly theta?: Float32Array
}

export class TrajectoryIterations implements Iterations {
  readonly most = mostIterations
  readonly plans: Iterations['plans']
  readonly imagesPerIteration: number
  readonly flopsPerIteration: number
  readonly stateShape: Iterations['stateShape']
  readonly extraState: NonNullable<Iterations['extraState']>
  readonly rates: NonNullable<Iterations['rates']>
  readonly extraCounters = { skips: 0, guards: 0 }
  readonly #settings: Settings
  readonly #own: TrajectorySettings
  readonly #store: ExpertStore | undefined
  readonly #key: Key
  readonly #shape: TrajectoryShape
  readonly #order: FlatOrder
  readonly #programs: TrajectoryPrograms
  readonly #arrays: Arrays
  /** Parameters by name, N + 1 slots each. */
  readonly #ring: Arrays
  readonly #target: Arrays
  readonly #mask: Arrays
  readonly #prepared = new Map<number, Promise<Prepared>>()

  /** Without a store nothing can be run: enough to plan by. `start` is what the state begins as. */
  constructor(device: Device, classes: number, settings: Settings, start?: InitialImages) {
    const { method, methodOptions, network, ipc, seed, experts } = settings
    const own = method.trajectory(methodOptions)
    const shape = shapeOf(classes, settings, own)
    const { innerSteps, images, batch } = shape
    this.#settings = settings
    this.#own = own
    this.#store = experts
    this.#key = keyOf(seed)
    this.#shape = shape
    this.#order = new FlatOrder(network)
    const made = allOrNothing((own) => ({
      programs: trajectoryPrograms(device, own, shape),
      arrays: makeArrays(own, device, shape, ipc),
      ring: perParameter(own, device, shape, [innerSteps + 1]),
      target: perParameter(own, device, shape, []),
      mask: makeMasks(own, device, shape),
    }))
    this.#programs = made.programs
    this.#arrays = made.arrays
    this.#ring = made.ring
    this.#target = made.target
    this.#mask = made.mask
    this.stateShape = [images, ...network.input]
    this.extraState = extraState(shape, own, start)
    const { forward, match, reverse, update, teacher } = made.programs
    const { labelLr, lrLr } = shape.rates
    this.rates = { ...(own.labelLr !== null && { labelLr: Number(labelLr) }), lrLr: Number(lrLr) }
    this.plans = {
      ...{ forward: forward.plan, match: match.plan, reverse: reverse.plan, update: update.plan },
      ...(teacher && { teacher: teacher.plan }),
    }
    const once = match.plan.flops + update.plan.flops + (teacher?.plan.flops ?? 0)
    this.flopsPerIteration = innerSteps * (forward.plan.flops + reverse.plan.flops) + once
    this.imagesPerIteration = innerSteps * batch
  }

  async run(state: IterationState, { first, n, signal, onOutcome }: IterationRange): Promise<readonly number[]> {
    const losses: number[] = []
    for (let iteration = first; iteration < first + n && losses.every(Number.isFinite); iteration++) {
      const { loss, ...outcome } = await this.#iterate(state, iteration, signal)
      onOutcome?.(iteration, outcome)
      losses.push(loss)
    }
    return losses
  }

  async #iterate(state: IterationState, iteration: number, signal: AbortSignal | undefined): Promise<StepOutcome & { loss: number }> {
    const prepared = await this.#take(iteration)
    const { forward, match, reverse, update, teacher } = this.#programs
    const { innerSteps } = this.#shape
    const aborting = signal && { signal }
    const arrays = { ...this.#arrays, ...state }
    const parameters = withPrefix(parameterPrefix, this.#ring)
    const target = withPrefix(targetPrefix, this.#target)
    const sides = { ...withPrefix(startPrefix, this.#ring), ...withPrefix(endPrefix, this.#ring), ...target }
    // Uploads and runs queue in this order; every one is awaited, so that none can fail unheard.
    const forwards = [
      ...this.#upload(prepared),
      teacher?.run({ ...arrays, ...target }, aborting),
      forward.run({ ...arrays, ...parameters, ...withPrefix(nextPrefix, this.#ring) }, { n: innerSteps, ...aborting }),
    ]
    const masks = this.#shape.kept === 'given' ? await this.#maskByLoss(forwards, prepared) : []
    await Promise.all([
      ...forwards,
      ...masks,
      match.run({ ...arrays, ...sides, ...withPrefix(maskPrefix, this.#mask) }, aborting),
      reverse.run({ ...arrays, ...parameters }, { n: innerSteps, ...aborting }),
      update.run(arrays, aborting),
    ])
    return this.#outcome(prepared, (await arrays.outcome.read()) as Float32Array)
  }

  /** Sends up what an iteration begins with. */
  #upload({ start, target, rows, theta }: Prepared): Promise<void>[] {
    const { index, weights } = rows
    const arrays = this.#arrays
    return [
      ...Object.entries(start).map(([name, data]) => this.#ring[name].writeAt(0, data)),
      ...Object.entries(target).map(([name, data]) => this.#target[name].write(data)),
      arrays.index.write(index),
      ...(weights ? [arrays.weights.write(weights)] : []),
      ...(theta ? [arrays.theta.write(theta)] : []),
    ]
  }

  /** Where the student ended decides which parameters count. */
  async #maskByLoss(forwards: readonly unknown[], { target }: Prepared): Promise<Promise<void>[]> {
    const { innerSteps, network } = this.#shape
    const { mask } = this.#own
    const reads = network.parameters.map(async ({ name, shape }) => {
      const size = sizeOf(shape)
      return [name, (await this.#ring[name].readAt(innerSteps * size, size)) as Float32Array] as const
    })
    const [end] = await Promise.all([Promise.all(reads), ...forwards])
    const dropped = mask.kind === 'none' ? 0 : droppedCount(this.#order.size, mask.share)
    const kept = await lossMask(this.#order, Object.fromEntries(end), target, dropped)
    return Object.entries(kept).map(([name, data]) => this.#mask[name].write(data))
  }

  #outcome({ expert, startEpoch }: Prepared, told: Float32Array): StepOutcome & { loss: number } {
    const value = Object.fromEntries(outcomeNames.map((name, i) => [name, told[i]])) as Record<(typeof outcomeNames)[number], number>
    if (value.denominator === 0) {
      const epochs = `epochs ${startEpoch} and ${startEpoch + this.#own.expertEpochs}`
      const why = `expert ${expert} is the same after ${epochs} in every parameter that the mask keeps`
      const todo = 'match epochs in which the experts still move (minStartEpoch, maxStartEpoch), or keep more parameters (mask)'
      throw new AludelError('invalid_data', `experts in ${this.#store?.dir}: ${why}, so the loss has no scale: ${todo}`)
    }
    const { loss, learningRate } = value
    return { loss, learningRate, skipped: value.applied === 0, guarded: value.guarded === 1 }
  }

  /** What `iteration` needs, and begins to make the next ready. */
  #take(iteration: number): Promise<Prepared> {
    for (const other of [...this.#prepared.keys()]) if (other !== iteration) this.#prepared.delete(other)
    const taken = this.#start(iteration)
    this.#prepared.delete(iteration)
    if (iteration + 1 < this.#settings.iterations) this.#start(iteration + 1)
    return taken
  }

  #start(iteration: number): Promise<Prepared> {
    const known = this.#prepared.get(iteration)
    if (known) return known
    const preparing = this.#prepare(iteration)
    // heard by whoever takes it; one that nobody takes must not end the process
    preparing.catch(() => undefined)
    this.#prepared.set(iteration, preparing)
    return preparing
  }

  async #prepare(iteration: number): Promise<Prepared> {
    const store = this.#store
    if (!store) throw new AludelError('internal', 'a run of trajectory matching without experts was begun')
    const { augment, network } = this.#settings
    const key = this.#key
    const expert = expertAt(key, iteration, store.experts)
    const range = startEpochs(this.#own)
    const startEpoch = startEpochAt(key, iteration, range.min, startEpochBound(range, iteration))
    const [from, to] = await Promise.all([
      store.checkpoint(expert, startEpoch),
      store.checkpoint(expert, startEpoch + this.#own.expertEpochs),
    ])
    const rows = await minibatchesAt(key, iteration, this.#shape)
    const theta = this.#shape.augmented && (await augmentationAt(key, iteration, this.#shape, augment, network.input))
    const [start, target] = [await this.#order.toEngine(from), await this.#order.toEngine(to)]
    return { expert, startEpoch, start, target, rows, ...(theta && { theta }) }
  }

  dispose(): void {
    const arrays = [this.#arrays, this.#ring, this.#target, this.#mask]
    for (const array of arrays.flatMap((named) => Object.values(named))) array.dispose()
    for (const program of Object.values(this.#programs)) program?.dispose()
  }
}

const withPrefix = (prefix: string, arrays: Arrays): Record<string, DeviceArray> =>
  Object.fromEntries(Object.entries(arrays).map(([name, array]) => [prefix + name, array]))

function shapeOf(classes: number, settings: Settings, own: TrajectorySettings): TrajectoryShape {
  const { network, ipc, augment, imageLr, imageMomentum, iterations, rateShare = 1 } = settings
  const { innerSteps, synBatch, gradient, labels, labelMomentum, lrMomentum, threshold, emaDecay } = own
  const [labelLr, lrLr] = [(own.labelLr ?? 0) * rateShare, own.lrLr * rateShare]
  const images = classes * ipc
  const batch = Math.min(synBatch ?? images, images)
  if (iterations * innerSteps >= 2 ** 32)
    throw expected('invalid_option', 'iterations x innerSteps', 'less than 2^32 steps', iterations * innerSteps)
  return {
    ...{ network, images, batch, innerSteps, gradient, labels },
    augmented: augment.operations.length > 0,
    padded: images % batch !== 0,
    kept: keptOf(settings, own),
    rates: { imageLr, imageMomentum, labelLr, labelMomentum, lrLr, lrMomentum, threshold, emaDecay },
  }
}

function keptOf({ network }: Settings, { mask }: TrajectorySettings): TrajectoryShape['kept'] {
  if (mask.kind === 'loss') return 'given'
  const { size } = new FlatOrder(network)
  return depthMask(network, mask.kind === 'none' ? 0 : droppedCount(size, mask.share))
}

/** Everything but the state, the parameters and the masks. */
function makeArrays(own: Own, device: Device, shape: TrajectoryShape, ipc: number): Record<string, DeviceArray> {
  const { innerSteps, batch, images, padded, augmented } = shape
  const make: Device['array'] = (...array) => own(device.array(...array))
  return {
    ...Object.fromEntries(Object.entries(sweepShapes(shape)).map(([name, own]) => [name, make('f32', own)])),
    ...(shape.labels === 'hard' && {
      labels: make(
        'i32',
        [images],
        Int32Array.from({ length: images }, (_, i) => Math.floor(i / ipc)),
      ),
    }),
    index: make('i32', [innerSteps, batch]),
    ...(padded && { weights: make('f32', [innerSteps, batch]) }),
    ...(augmented && { theta: make('f32', [innerSteps, batch, thetaSize]) }),
    loss: make('f32', []),
    denominator: make('f32', []),
    outcome: make('f32', [outcomeNames.length]),
  }
}

const perParameter = (own: Own, device: Device, { network }: TrajectoryShape, slots: readonly number[]): Record<string, DeviceArray> =>
  Object.fromEntries(network.parameters.map(({ name, shape }) => [name, own(device.array('f32', [...slots, 1, ...shape]))]))

function makeMasks(own: Own, device: Device, { network, kept }: TrajectoryShape): Record<string, DeviceArray> {
  const masked = maskedNames(network, kept)
  const start = (name: string) => (kept === 'given' ? undefined : ((kept as KeptElements)[name] as Float32Array))
  return Object.fromEntries(
    network.parameters.flatMap(({ name, shape }) =>
      masked.includes(name) ? [[name, own(device.array('f32', [1, ...shape], start(name)))]] : [],
    ),
  )
}

/** The state beside images and velocity, as it begins. */
function extraState(
  shape: TrajectoryShape,
  { startLr, labels }: TrajectorySettings,
  start?: InitialImages,
): NonNullable<Iterations['extraState']> {
  const { images: _, velocity, ...shapes } = stateShapes(shape)
  const starts: Record<string, Float32Array | undefined> = {
    learningRate: Float32Array.of(startLr),
    labelLogits: start?.labelLogits,
    ema: start?.images,
  }
  const all = labels === 'teacher' ? { ...shapes, labelLogits: [shape.images, shape.network.classes] } : shapes
  return Object.fromEntries(Object.entries(all).map(([name, own]) => [name, { shape: own, ...(starts[name] && { start: starts[name] }) }]))
}
