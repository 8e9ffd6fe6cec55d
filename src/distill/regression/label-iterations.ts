/**
 * @file Iterations of FRePo (2206.00719), KIP (2011.00050) and RFAD (2210.12067): real images are answered by a ridge solution on the synthetic
 * ones and their labels, and an optimiser moves what is learned.
 */
import type { Dataset } from '../../data/dataset.js'
import { allOrNothing, type Own } from '../../engine/all-or-nothing.js'
import { type BoundProgram, bindProgram } from '../../engine/bound-program.js'
import { concat, isFiniteMask, mean, reshape, select, sqrt, square, sub, type Value } from '../../engine/index.js'
import type { DeviceArray } from '../../engine/runtime/array.js'
import type { Device } from '../../engine/runtime/device.js'
import { fold, type Key, keyOf } from '../../engine/tensor/key.js'
import { sizeOf } from '../../engine/tensor/shape.js'
import { AludelError } from '../../errors.js'
import type { ValidationRecord } from '../../experiment/types.js'
import type { Network } from '../../nn/module.js'
import { cosineSchedule } from '../../optim/schedules.js'
import { type RowSource, rowSource } from '../../preprocess/row-source.js'
import { checkRidgeReport, mostRidgeTries, repeatedRows, ridgeReport } from '../../ridge/index.js'
import { parametersOf, stateOf } from '../gradient-step.js'
import type { InitialImages } from '../initial-images.js'
import type { BeginOptions, IterationRange, IterationState, Iterations } from '../iterations.js'
import type { RegressionMethod } from '../method.js'
import type { ResolvedSettings } from '../settings.js'
import { centredRows } from './centred.js'
import { holdOut, rowsBeside } from './held-out.js'
import { drawnRows, type LabelDraws, labelDraws } from './label-draws.js'
import type { LabelRegression } from './label-settings.js'
import { labelGradients, transformed } from './label-step.js'
import { imageNames, logScaleNames, type MovedNames, momentShapes, move, targetNames, transformNames } from './moved.js'
import { frozenInputs, PoolNetworks } from './pool-networks.js'
import { pickAt } from './pool-schedule.js'
import { regressionRecord } from './regression-record.js'
import { Validation } from './validation.js'

type Settings = ResolvedSettings & { readonly method: RegressionMethod }
type Shapes = Readonly<Record<string, readonly number[]>>

/** Iterations that one call runs at most: their losses are told together. */
const mostIterations = 16

/** What the programs of a run are made for. */
interface Shape {
  readonly rows: RowSource
  /** Real images of a step. */
  readonly real: number
  /** Shapes of the synthetic images [n, H, W, C] and of their labels [n, k]. */
  readonly images: readonly number[]
  readonly targets: readonly number[]
  readonly network: Network
  /** Of the run. */
  readonly key: Key
}

export class LabelIterations implements Iterations {
  readonly most = mostIterations
  readonly plans: Iterations['plans']
  readonly imagesPerIteration: number
  readonly flopsPerIteration: number
  readonly flopsBefore: number
  readonly stateShape: Iterations['stateShape']
  readonly extraState: NonNullable<Iterations['extraState']>
  readonly rates: NonNullable<Iterations['rates']>
  readonly #labels: Dataset['labels']
  readonly #draws: LabelDraws
  readonly #rate: (completed: number) => number
  readonly #key: Key
  /** Where features are those of partly trained networks. */
  readonly #pool: PoolNetworks | undefined
  readonly #models: number
  readonly #validation: Validation | undefined
  readonly #outer: BoundProgram
  readonly #arrays: Readonly<Record<string, DeviceArray>>

  /** `begun` is what the state begins as; absent where a run is only planned. */
  constructor(device: Device, dataset: Dataset, settings: Settings, begun?: InitialImages) {
    const { method, methodOptions, network, ipc, realBatch, seed, imageLr, iterations, rateShare = 1 } = settings
    const regression = lowered(method.regression(methodOptions), rateShare)
    const n = dataset.classes.length * ipc
    const { validation } = regression
    const held = validation && holdOut(dataset, validation.perClass, seed)
    const real = drawnRows(held ? rowsBeside(dataset, held) : dataset, realBatch, regression.draws)
    const targets = [n, dataset.classes.length]
    const shape: Shape = { rows: rowSource(dataset), real, images: [n, ...network.input], targets, network, key: keyOf(seed) }
    this.#labels = dataset.labels
    this.#draws = labelDraws(dataset, { rows: real, draws: regression.draws, seed, held })
    this.#rate = cosineSchedule(imageLr, iterations, { endFactor: regression.lrEnd })
    const start = startLabels(ipc, dataset.classes.length, regression)
    // before anything is on the device: it may be too large
    const transform = regression.transform && identity(sizeOf(network.input))
    const { source } = regression
    const { key } = shape
    const pooled = source.kind === 'pool' ? { network, pool: source.pool, images: shape.images, targets } : undefined
    const made = allOrNothing((own) => ({
      pool: pooled && own(new PoolNetworks(device, pooled, key)),
      outer: own(outerProgram(device, regression, shape)),
      validation:
        validation && held && own(new Validation(device, { ...shape, regression, settings: validation, held, labels: dataset.labels })),
      arrays: makeArrays(own, device, regression, shape, { targets: start, images: begun?.images }),
    }))
    this.#key = key
    this.#pool = made.pool
    this.#models = pooled?.pool.models ?? 0
    this.#validation = made.validation
    this.#outer = made.outer
    this.#arrays = made.arrays
    this.stateShape = shape.images
    this.rates = {
      ...(regression.transform && { transformLr: regression.transform.lr }),
      ...(regression.loss === 'platt-ce' && { scaleLr: regression.logScaleLr }),
    }
    const { images: _, velocity, ...kept } = carriedShapes(regression, shape)
    const starts: Readonly<Record<string, Float32Array>> = {
      ...{ targets: start, logScale: Float32Array.of(regression.logScale) },
      ...(transform && { transform }),
    }
    const own = Object.entries(kept).map(([name, shape]) => [name, { shape, ...(starts[name] && { start: starts[name] }) }] as const)
    const shown = regression.transform && { shown: { shape: shape.images, ...(begun && { start: begun.images }) } }
    this.extraState = { ...made.pool?.declared, ...Object.fromEntries(own), ...shown, ...made.validation?.declared }
    this.plans = { outer: made.outer.plan, ...made.pool?.plans, ...(made.validation && { validation: made.validation.plan }) }
    this.flopsPerIteration = made.outer.plan.flops + (made.pool?.plans.train.flops ?? 0) + (made.validation?.flopsPerStep ?? 0)
    this.flopsBefore = made.pool?.warmUpFlops ?? 0
    this.imagesPerIteration = real + n * (made.pool ? 2 : 1)
  }

  async load(state: IterationState): Promise<void> {
    await this.#pool?.load(state)
    await this.#validation?.load(state)
  }

  get bestStep(): number {
    return this.#validation?.bestStep ?? 0
  }

  isOver(step: number): boolean {
    return this.#validation?.isOver(step) ?? false
  }

  async begin(state: IterationState, { step, look, signal }: BeginOptions): Promise<void> {
    if (step === 0) await this.#pool?.warmUp(state, look, signal)
  }

  async run(state: IterationState, { first, n, signal, onOutcome }: IterationRange): Promise<readonly number[]> {
    const losses: number[] = []
    for (let step = first; step < first + n && losses.every(Number.isFinite) && !this.isOver(step); step++) {
      const arrays = { ...this.#arrays, ...state }
      const rows = await this.#draws(step)
      const network = this.#pool && pickAt(this.#key, step, this.#models)
      // Uploads and runs queue in this order; every one is awaited, so that none can fail unheard.
      await Promise.all([
        arrays.realIndex.write(rows),
        arrays.realClass.write(Int32Array.from(rows, (row) => this.#labels[row])),
        arrays.lr.write(Float32Array.of(this.#rate(step))),
        this.#outer.run(arrays, { startStep: network ?? step, ...(signal && { signal }) }),
        ...(network === undefined ? [] : [this.#pool?.visit(arrays, { network, step }, signal)]),
      ])
      const [loss, info, drift] = await Promise.all([arrays.loss.read(), arrays.info.read(), arrays.drift.read()])
      await checkSolution(info as Float64Array, step, state.images)
      const validation = Number.isFinite(loss[0]) ? await this.#validate(state, step, signal) : undefined
      onOutcome?.(step, { regression: regressionRecord(info, drift), ...(validation && { validation }) })
      losses.push(loss[0])
    }
    return losses
  }

  /** After a step that is due for it. */
  async #validate(state: IterationState, step: number, signal: AbortSignal | undefined): Promise<ValidationRecord | undefined> {
    if (!this.#validation?.isDue(step + 1)) return undefined
    const { record, info } = await this.#validation.measure(state, this.#arrays, step + 1, signal)
    await checkSolution(info, step, state.images)
    return record
  }

  dispose(): void {
    this.#pool?.dispose()
    this.#validation?.dispose()
    this.#outer.dispose()
    for (const array of Object.values(this.#arrays)) array.dispose()
  }
}

/** Labels move at the rate of the images, which is lowered already. */
const lowered = (regression: LabelRegression, share: number): LabelRegression => ({
  ...regression,
  logScaleLr: regression.logScaleLr * share,
  ...(regression.transform && { transform: { lr: regression.transform.lr * share } }),
})

/** Throws `not_positive_definite` where no ridge of the ladder was large enough, and says which images are the same. */
export async function checkSolution(info: Float64Array, step: number, images: DeviceArray): Promise<void> {
  const report = ridgeReport(info)
  // a pivot that is no number comes of images that are none: the loss tells, and the run may go back
  if (report.failedTries < mostRidgeTries || !Number.isFinite(report.smallestPivot)) return
  const [n, ...image] = images.shape
  const repeated = await repeatedRows((await images.read()) as Float32Array, n, sizeOf(image))
  checkRidgeReport(`step ${step + 1}: kernel of the synthetic images`, report, n, repeated)
}

/** Labels of the synthetic images as they begin, class-major, [n, k]. */
function startLabels(ipc: number, classes: number, { labelScale }: LabelRegression): Float32Array {
  const scale = labelScale === 'frepo' ? Math.sqrt(classes / 10) : 1
  const own = Int32Array.from({ length: classes * ipc }, (_, i) => Math.floor(i / ipc))
  return centredRows(own, classes).map((value) => value / scale)
}

/** Elements of a matrix over pixels that are still planned: 4 GiB of float32, of which the run keeps three. */
const mostElements = 2 ** 30

/** Throws `out_of_memory` for a matrix over more pixels than any run has room for. */
const identity = (d: number): Float32Array => {
  if (d * d > mostElements) {
    const todo = 'leave it out (transformLr=0), or take smaller images'
    throw new AludelError(
      'out_of_memory',
      `the matrix over ${d} pixels and channels needs ${4 * d * d} bytes, and its moments twice as many; ${todo}`,
    )
  }
  const matrix = new Float32Array(d * d)
  for (let i = 0; i < d; i++) matrix[i * d + i] = 1
  return matrix
}

/** What the optimiser moves, by name. */
const movedOf = ({ learnedLabels, loss, transform }: LabelRegression): readonly MovedNames[] => [
  imageNames,
  ...(transform ? [transformNames] : []),
  ...(learnedLabels ? [targetNames] : []),
  ...(loss === 'platt-ce' ? [logScaleNames] : []),
]

/** Shapes of everything that a step hands to the next. */
function carriedShapes(regression: LabelRegression, { images, targets }: Shape): Shapes {
  const pixels = sizeOf(images.slice(1))
  const shapes: Shapes = { images, targets, logScale: [], transform: [pixels, pixels] }
  return Object.assign(
    {},
    ...movedOf(regression).map((names) => ({ [names.tensor]: shapes[names.tensor], ...momentShapes(names, shapes[names.tensor]) })),
  )
}

function makeArrays(
  own: Own,
  device: Device,
  regression: LabelRegression,
  { rows, real, images, targets, key }: Shape,
  start: { readonly targets: Float32Array; readonly images: Float32Array | undefined },
) {
  const make: Device['array'] = (...array) => own(device.array(...array))
  return {
    ...rows.arrays(make),
    // state has the first say where these are learned
    targets: make('f32', targets, start.targets),
    logScale: make('f32', [], Float32Array.of(regression.logScale)),
    realIndex: make('i32', [real]),
    realClass: make('i32', [real]),
    lr: make('f32', []),
    ...(regression.source.kind === 'random' && { key: make('u32', [2], Uint32Array.from(fold(key, 'random-networks'))) }),
    loss: make('f32', []),
    info: make('f64', [6]),
    startImages: make('f32', images, start.images),
    startTargets: make('f32', targets, start.targets),
    drift: make('f32', [3]),
  }
}

function outerProgram(device: Device, regression: LabelRegression, shape: Shape): BoundProgram {
  const { rows, real, images, targets, network } = shape
  const carried = carriedShapes(regression, shape)
  const moved = movedOf(regression)
  return bindProgram<string, string, string>(device, {
    step: 'step',
    inputs: {
      ...rows.inputs,
      ...(regression.source.kind === 'pool' && frozenInputs(network, regression.source.pool)),
      images: { shape: images },
      targets: { shape: targets },
      logScale: { shape: [] },
      ...Object.fromEntries(Object.entries(carried).map(([name, own]) => [name, { shape: own }])),
      realIndex: { shape: [real], dtype: 'i32' },
      realClass: { shape: [real], dtype: 'i32' },
      lr: { shape: [] },
      startImages: { shape: images },
      startTargets: { shape: targets },
      ...(regression.source.kind === 'random' && { key: { shape: [2], dtype: 'u32' as const } }),
    },
    outputs: {
      ...Object.fromEntries(Object.keys(carried).map((name) => [name, { donate: name }])),
      ...(regression.transform && { shown: {} }),
      ...{ loss: {}, info: {}, drift: {} },
    },
    build(v) {
      const { images, targets, realClass: classes, logScale } = v
      const real = rows.gather(v, v.realIndex)
      const frozen = { parameters: parametersOf(network, v), state: stateOf(network, v) }
      const { transform } = v
      const batch = {
        images,
        ...(transform && { transform }),
        targets,
        real,
        classes,
        logScale,
        draw: { key: v.key, counter: v.step },
        frozen,
      }
      const { loss, info, ...gradients } = labelGradients(network, batch, regression)
      const next = moved.map((names) => {
        const lr = names === logScaleNames ? regression.logScaleLr : names === transformNames ? (regression.transform?.lr ?? 0) : v.lr
        return move(names, v, gradients[names.tensor as keyof typeof gradients] as Value, { optimiser: regression.optimiser, lr })
      })
      // A loss that is not finite leaves everything as it was, so that the last good state can be saved.
      const finite = isFiniteMask(loss)
      const kept = Object.entries(Object.assign({}, ...next) as Record<string, Value>).map(([name, value]) => [
        name,
        select(finite, value, v[name]),
      ])
      const after = Object.fromEntries(kept) as Record<string, Value>
      const labels = after.targets ?? v.targets
      const shown = transformed(after.images, after.transform)
      const moves = [sub(shown, v.startImages), sub(labels, v.startTargets), labels]
      return { loss, info, drift: concat(moves.map((x) => reshape(sqrt(mean(square(x))), [1]))), ...after, ...(transform && { shown }) }
    },
  })
}
