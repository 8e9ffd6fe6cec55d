/**
 * @file Iterations of a gradient method (DC, 2006.05929, algorithm 1): a fresh network, then matching steps over all classes with training
 * of that network on the synthetic images between them. Draws are addressed by (seed, purpose, step, index), the step counting matching steps.
 */
import { drawRow, thetaSize } from '../augment/dsa.js'
import type { Dataset } from '../data/dataset.js'
import type { Sampler } from '../data/sampler.js'
import { allOrNothing, type Own } from '../engine/all-or-nothing.js'
import type { BoundProgram } from '../engine/bound-program.js'
import type { Plan } from '../engine/compile/program.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { fold, type Key, keyOf, purpose } from '../engine/tensor/key.js'
import { expected } from '../errors.js'
import { Turn } from '../event-loop.js'
import { rowSource } from '../preprocess/row-source.js'
import { GradientPruning } from './dynamic/gradient-pruning.js'
import { type GradientShape, gradientStep, networkDraw, networkInputs, statisticsUpdate } from './gradient-step.js'
import type { IterationRange, IterationState, Iterations } from './iterations.js'
import type { GradientMethod, NetworkSchedule } from './method.js'
import { NetworkTraining } from './network-training.js'
import { type RealDraws, realSampler } from './scheduled-rows.js'
import type { ResolvedSettings } from './settings.js'

type Settings = ResolvedSettings & { readonly method: GradientMethod }
type Arrays = Readonly<Record<string, DeviceArray>>

export class GradientIterations implements Iterations {
  readonly most = 1
  readonly plans: Iterations['plans']
  readonly imagesPerIteration: number
  readonly flopsPerIteration: number
  /** One slot per class. */
  readonly stateShape: Iterations['stateShape']
  readonly #settings: Settings
  readonly #schedule: NetworkSchedule
  readonly #sampler: Sampler
  readonly #arrays: Arrays
  readonly #draw: BoundProgram
  /** Absent under dynamic pruning, which matches in its own way. */
  readonly #match: BoundProgram | undefined
  readonly #pruning: GradientPruning | undefined
  readonly extraState: NonNullable<Iterations['extraState']>
  /** Absent when the network is never trained. */
  readonly #training: NetworkTraining | undefined
  /** Absent without batch norm. */
  readonly #statistics: FrozenStatistics | undefined

  /** No class may have fewer images than 1, and some must have `realBatch`. */
  constructor(device: Device, dataset: Dataset, settings: Settings) {
    const { method, methodOptions, network, ipc, augment, seed, iterations, realBatch } = settings
    const schedule = method.schedule(methodOptions)
    const { outerLoop, innerLoop, networkLr, trainBatch } = schedule
    if (iterations * outerLoop >= 2 ** 32)
      throw expected('invalid_option', 'iterations x outerLoop', 'less than 2^32 steps', iterations * outerLoop)
    const classes = dataset.classes.length
    const batch = Math.min(trainBatch ?? classes * ipc, classes * ipc)
    const key = keyOf(seed)
    this.#settings = settings
    this.#schedule = schedule
    const iterationOf = (step: number) => Math.floor(step / outerLoop)
    this.#sampler = realSampler(dataset, { ...settings, perClass: realBatch, iterationOf })
    const padded = this.#sampler.counts.some((count) => count < realBatch)
    const augmented = augment.operations.length > 0
    const shape: GradientShape = { network, rows: rowSource(dataset), classes, ipc, realBatch, padded, augmented }
    const { dynamic } = settings
    const made = allOrNothing((own) => ({
      draw: own(networkDraw(device, network)),
      match: dynamic ? undefined : own(gradientStep(device, { ...settings, options: methodOptions }, shape)),
      pruning: dynamic && own(new GradientPruning(device, { ...settings, dynamic }, shape, this.#sampler, dataset.shape[0])),
      training: outerLoop > 1 ? own(new NetworkTraining(device, { network, classes, ipc, batch, lr: networkLr, augment }, key)) : undefined,
      statistics:
        network.state.length > 0
          ? own(new FrozenStatistics(device, dataset, settings, { perClass: schedule.statisticsBatch, iterationOf }))
          : undefined,
      arrays: gradientArrays(own, device, shape, { key, sampler: this.#sampler }),
    }))
    this.#draw = made.draw
    this.#match = made.match
    this.#pruning = made.pruning
    this.extraState = made.pruning?.extraState ?? {}
    this.#training = made.training
    this.#statistics = made.statistics
    this.#arrays = made.arrays
    this.stateShape = [classes, ipc, ...network.input]
    this.plans = {
      draw: made.draw.plan,
      ...(made.match ? { match: made.match.plan } : {}),
      ...made.pruning?.plans,
      ...(made.training ? { training: made.training.plan } : {}),
      ...(made.statistics ? { statistics: made.statistics.plan } : {}),
    }
    const trained = (outerLoop - 1) * innerLoop * classes * ipc
    const flopsOf = (program: { readonly plan: Plan } | undefined) => program?.plan.flops ?? 0
    this.flopsPerIteration =
      flopsOf(made.draw) +
      outerLoop * (classes * (this.plans.match?.flops ?? 0) + flopsOf(made.statistics) + (made.pruning?.flops ?? 0)) +
      (outerLoop - 1) * innerLoop * Math.ceil((classes * ipc) / batch) * flopsOf(made.training)
    this.imagesPerIteration = outerLoop * (classes * (realBatch + ipc) + (made.statistics?.images ?? 0)) + trained
  }

  async load(state: IterationState): Promise<void> {
    await this.#pruning?.load(state)
  }

  async run(state: IterationState, range: IterationRange): Promise<readonly number[]> {
    const { first, n } = range
    const losses: number[] = []
    const arrays = { ...this.#arrays, ...state }
    for (let iteration = first; iteration < first + n && losses.every(Number.isFinite); iteration++) {
      losses.push(await this.#iterate(arrays, iteration, range))
    }
    return losses
  }

  /** Mean over the matching steps of sum_c D_c. */
  async #iterate(arrays: Arrays, iteration: number, range: IterationRange): Promise<number> {
    const { outerLoop, innerLoop } = this.#schedule
    const { signal } = range
    const aborting = signal && { signal }
    await this.#draw.run(arrays, { startStep: iteration, ...aborting })
    let total = 0
    for (let outer = 0; outer < outerLoop; outer++) {
      const step = iteration * outerLoop + outer
      await this.#statistics?.update(arrays, step, signal)
      const theta = await this.#theta(arrays, step)
      const loss = await (this.#pruning?.match(arrays, { step, iteration, theta }, range) ??
        this.#matchClasses(arrays, step, theta, signal))
      if (!Number.isFinite(loss)) return loss
      total += loss
      if (outer < outerLoop - 1) await this.#training?.train(arrays, { iteration, first: outer * innerLoop, count: innerLoop }, signal)
    }
    return total / outerLoop
  }

  /** The augmentation of a matching step, one row a class; undefined without one. */
  async #theta(arrays: Arrays, step: number): Promise<Float32Array | undefined> {
    if (!arrays.theta) return undefined
    const { augment, seed, network } = this.#settings
    const classes = this.#sampler.counts.length
    const [height, width] = network.input
    const address = { key: fold(keyOf(seed), 'augment'), purpose: purpose.augment, step }
    const rows = new Float32Array(classes * thetaSize)
    const turn = new Turn()
    for (let c = 0; c < classes; c++) {
      await turn.breathe()
      rows.set(drawRow(augment, address, c, height, width), c * thetaSize)
    }
    return rows
  }

  /** One matching step: replay c of the program is class c. */
  async #matchClasses(arrays: Arrays, step: number, theta: Float32Array | undefined, signal: AbortSignal | undefined): Promise<number> {
    const { realIndex, loss } = arrays
    const uploads = [realIndex.write(this.#sampler.draw(step)), ...(theta ? [arrays.theta.write(theta)] : [])]
    const classes = this.#sampler.counts.length
    // Uploads and run queue in this order; every one is awaited, so that none can fail unheard.
    await Promise.all([...uploads, this.#match?.run(arrays, { n: classes, ...(signal && { signal }) })])
    return ((await loss.read()) as Float32Array).reduce((sum, ofClass) => sum + ofClass, 0)
  }

  dispose(): void {
    for (const array of Object.values(this.#arrays)) array.dispose()
    for (const part of [this.#draw, this.#match, this.#pruning, this.#training, this.#statistics]) part?.dispose()
  }
}

/** Batch-norm statistics of the network at hand, moved by a few real images of every class before each matching step. */
class FrozenStatistics {
  readonly #sampler: Sampler
  readonly #program: BoundProgram
  readonly #arrays: { readonly index: DeviceArray; readonly weights?: DeviceArray }
  readonly images: number

  constructor(device: Device, dataset: Dataset, settings: Settings, draws: Pick<RealDraws, 'iterationOf'> & { readonly perClass: number }) {
    const { network, seed, schedule } = settings
    const { perClass } = draws
    const [low, high] = fold(keyOf(seed), 'statistics')
    const key = (BigInt(high) << 32n) | BigInt(low)
    this.#sampler = realSampler(dataset, { ...draws, seed: key, ...(schedule && { schedule }) })
    const { counts, weights } = this.#sampler
    const padded = counts.some((count) => count < perClass)
    const batch = weights.length
    this.images = batch
    const made = allOrNothing((own) => ({
      program: own(statisticsUpdate(device, network, { rows: rowSource(dataset), batch, padded })),
      arrays: {
        index: own(device.array('i32', [batch])),
        ...(padded ? { weights: own(device.array('f32', [1, batch], weights)) } : {}),
      },
    }))
    this.#program = made.program
    this.#arrays = made.arrays
  }

  get plan(): Plan {
    return this.#program.plan
  }

  async update(arrays: Arrays, step: number, signal: AbortSignal | undefined): Promise<void> {
    const upload = this.#arrays.index.write(this.#sampler.draw(step))
    await Promise.all([upload, this.#program.run({ ...arrays, ...this.#arrays }, signal && { signal })])
  }

  dispose(): void {
    for (const array of Object.values(this.#arrays)) array.dispose()
    this.#program.dispose()
  }
}

/** Arrays of all programs by name; those with a slot per class have the class in front. */
export function gradientArrays(
  own: Own,
  device: Device,
  { network, rows, classes, ipc, realBatch, padded, augmented }: GradientShape,
  { key, sampler }: { key: Key; sampler: Sampler },
): Record<string, DeviceArray> {
  const make = (...array: Parameters<Device['array']>) => own(device.array(...array))
  const labels = (perClass: number) => Int32Array.from({ length: classes * perClass }, (_, i) => Math.floor(i / perClass))
  return {
    ...Object.fromEntries(Object.entries(networkInputs(network)).map(([name, { shape }]) => [name, make('f32', shape)])),
    key: make('u32', [2], Uint32Array.from(fold(key, 'network'))),
    ...rows.arrays(make),
    realIndex: make('i32', [classes, realBatch]),
    realLabels: make('i32', [classes, realBatch], labels(realBatch)),
    realCount: make('f32', [classes, 1], Float32Array.from(sampler.counts)),
    syntheticLabels: make('i32', [classes, ipc], labels(ipc)),
    syntheticCount: make('f32', [classes, 1], new Float32Array(classes).fill(ipc)),
    ...(padded ? { realWeights: make('f32', [classes, realBatch], sampler.weights) } : {}),
    ...(augmented ? { theta: make('f32', [classes, thetaSize]) } : {}),
    loss: make('f32', [classes]),
  }
}
