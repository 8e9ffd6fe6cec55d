/**
 * @file KIP's label solve (2107.13034): with the images as they are, the labels under which kernel ridge regression answers real images with the
 * least squared error, Y_s = (K_ss + lambda I) (K_ts)^+ Y_t. A step adds some real images to the normal equations; the last one solves them.
 */
import type { Dataset } from '../../data/dataset.js'
import { allOrNothing, type Own } from '../../engine/all-or-nothing.js'
import { type BoundProgram, bindProgram } from '../../engine/bound-program.js'
import { add, cast, gram, matmul, mul, reshape, slice, square, sub, sum, transpose } from '../../engine/index.js'
import type { DeviceArray } from '../../engine/runtime/array.js'
import type { Device } from '../../engine/runtime/device.js'
import type { RegressionRecord } from '../../experiment/types.js'
import { type RowSource, rowSource } from '../../preprocess/row-source.js'
import { kernelRidgeSolve, type Ridge, ridgeInfo } from '../../ridge/index.js'
import type { IterationRange, IterationState, Iterations } from '../iterations.js'
import type { RegressionMethod } from '../method.js'
import type { ResolvedSettings } from '../settings.js'
import { centred, centredRows } from './centred.js'
import { type InfiniteNetwork, infiniteKernel, infiniteKernelOf } from './infinite-network.js'
import { type LabelDraws, labelDraws } from './label-draws.js'
import { checkSolution } from './label-iterations.js'
import type { LabelRegression } from './label-settings.js'
import { flatRows } from './label-step.js'
import { regressionRecord } from './regression-record.js'

type Settings = ResolvedSettings & { readonly method: RegressionMethod }

/** What is solved, and how many real images it is solved over. */
interface Problem {
  readonly network: InfiniteNetwork
  readonly ridge: Ridge
  readonly rows: RowSource
  /** Shape of the synthetic images [n, H, W, C]. */
  readonly images: readonly number[]
  readonly classes: number
  /** Real images of a step. */
  readonly real: number
}

export class LabelSolveIterations implements Iterations {
  readonly most = 1
  readonly plans: Iterations['plans']
  readonly imagesPerIteration: number
  readonly flopsPerIteration: number
  readonly stateShape: Iterations['stateShape']
  readonly extraState: NonNullable<Iterations['extraState']>
  readonly #labels: Dataset['labels']
  readonly #draws: LabelDraws
  readonly #total: number
  readonly #steps: number
  readonly #cut: number
  readonly #device: Device
  readonly #start: Float32Array
  readonly #startNorm: number
  readonly #problem: Problem
  readonly #gather: BoundProgram
  readonly #solve: BoundProgram
  readonly #arrays: Readonly<Record<string, DeviceArray>>

  constructor(device: Device, dataset: Dataset, settings: Settings) {
    const { method, methodOptions, network, ipc, realBatch, seed, iterations } = settings
    const regression = method.regression(methodOptions)
    const classes = dataset.classes.length
    const n = classes * ipc
    this.#total = dataset.shape[0]
    const real = Math.min(realBatch, this.#total)
    const problem: Problem = {
      ...{ network: infiniteOf(regression), ridge: regression.ridge, rows: rowSource(dataset) },
      ...{ images: [n, ...network.input], classes, real },
    }
    this.#start = centredRows(
      Int32Array.from({ length: n }, (_, i) => Math.floor(i / ipc)),
      classes,
    )
    this.#startNorm = rootMeanSquare(this.#start)
    const made = allOrNothing((own) => ({
      gather: own(gatherProgram(device, problem)),
      solve: own(solveProgram(device, problem)),
      arrays: makeArrays(own, device, problem, this.#start),
    }))
    this.#device = device
    this.#problem = problem
    this.#labels = dataset.labels
    this.#draws = labelDraws(dataset, { rows: real, draws: 'shuffled', seed })
    this.#steps = iterations
    this.#cut = regression.solved?.cut ?? 0
    this.#gather = made.gather
    this.#solve = made.solve
    this.#arrays = made.arrays
    this.stateShape = problem.images
    this.extraState = {
      targets: { shape: [n, classes], start: this.#start },
      products: { dtype: 'f64', shape: [n, n] },
      cross: { dtype: 'f64', shape: [n, classes] },
      squares: { dtype: 'f64', shape: [1] },
    }
    this.plans = { gather: made.gather.plan, solve: made.solve.plan }
    this.flopsPerIteration = made.gather.plan.flops + (made.solve.plan.flops + eigenFlops * n ** 3) / iterations
    this.imagesPerIteration = real + n
  }

  async run(state: IterationState, { first, n, signal, onOutcome }: IterationRange): Promise<readonly number[]> {
    const losses: number[] = []
    for (let step = first; step < first + n && losses.every(Number.isFinite); step++) {
      const { loss, record } = await this.#add(state, step, signal)
      const last = step === this.#steps - 1
      const solved = last ? await this.#finish(state, signal) : undefined
      onOutcome?.(step, { regression: { ...record, ...solved?.moved } })
      losses.push(solved?.loss ?? loss)
    }
    return losses
  }

  /** Adds the real images of a step; their loss is that under the labels which the run began with. */
  async #add(state: IterationState, step: number, signal: AbortSignal | undefined): Promise<{ loss: number; record: RegressionRecord }> {
    const { real } = this.#problem
    const arrays = { ...this.#arrays, ...state }
    const rows = await this.#draws(step)
    const isNew = Float64Array.from(rows, (_, i) => (step * real + i < this.#total ? 1 : 0))
    await Promise.all([
      arrays.realIndex.write(rows),
      arrays.realClass.write(Int32Array.from(rows, (row) => this.#labels[row])),
      arrays.weights.write(isNew),
      this.#gather.run(arrays, { ...(signal && { signal }) }),
    ])
    const [loss, info] = await Promise.all([arrays.loss.read(), arrays.info.read()])
    await checkSolution(info as Float64Array, step, state.images)
    return { loss: loss[0], record: regressionRecord(info, [0, 0, this.#startNorm]) }
  }

  /** Solves for the labels, and tells the loss of all real images that were added. */
  async #finish(state: IterationState, signal: AbortSignal | undefined) {
    const { vectors, values, factors, loss } = this.#arrays
    await vectors.copyFrom(state.products)
    await this.#device.symmetricEigen(vectors, values, signal && { signal })
    const spectrum = (await values.read()) as Float64Array
    const kept = inverseSquares(spectrum, this.#cut)
    await Promise.all([factors.write(kept), this.#solve.run({ ...this.#arrays, ...state }, { ...(signal && { signal }) })])
    const [solved, squares] = [(await state.targets.read()) as Float32Array, (await loss.read())[0]]
    const seen = Math.min(this.#total, this.#steps * this.#problem.real)
    return {
      loss: squares / (2 * seen * this.#problem.classes),
      moved: {
        targetDrift: rootMeanSquare(solved.map((value, i) => value - this.#start[i])),
        targetNorm: rootMeanSquare(solved),
        directions: kept.reduce((count, factor) => count + Number(factor > 0), 0),
      },
    }
  }

  dispose(): void {
    this.#gather.dispose()
    this.#solve.dispose()
    for (const array of Object.values(this.#arrays)) array.dispose()
  }
}

/** Operations of an eigendecomposition, times n³. */
const eigenFlops = 9

function infiniteOf({ source }: LabelRegression): InfiniteNetwork {
  if (source.kind === 'infinite') return source.network
  throw new TypeError('labels are solved for under the kernel of an infinite network')
}

const rootMeanSquare = (values: Float32Array): number => Math.sqrt(values.reduce((total, x) => total + x * x, 0) / values.length)

/** 1 / s² of the singular values s of K_ts from the eigenvalues s² of K_st K_ts; 0 where s is below `cut` times the largest. */
export function inverseSquares(eigenvalues: Float64Array, cut: number): Float64Array {
  const least = cut ** 2 * eigenvalues.reduce((a, b) => Math.max(a, b), 0)
  return eigenvalues.map((value) => (value > least ? 1 / value : 0))
}

function makeArrays(own: Own, device: Device, { rows, images, classes, real }: Problem, start: Float32Array) {
  const make: Device['array'] = (...array) => own(device.array(...array))
  const [n] = images
  return {
    ...rows.arrays(make),
    ...{ realIndex: make('i32', [real]), realClass: make('i32', [real]), weights: make('f64', [real]) },
    ...{ startTargets: make('f32', [n, classes], start), info: make('f64', [6]), loss: make('f64', []) },
    ...{ vectors: make('f64', [n, n]), values: make('f64', [n]), factors: make('f64', [n, 1]) },
  }
}

/** Adds K_st K_ts [n, n], K_st Y_t [n, k] and |Y_t|² of a step's real images; loss of the first labels on them. */
function gatherProgram(device: Device, { network, ridge, rows, images, classes: k, real }: Problem): BoundProgram {
  const [n] = images
  return bindProgram<string, string>(device, {
    inputs: {
      ...rows.inputs,
      images: { shape: images },
      startTargets: { shape: [n, k] },
      realIndex: { shape: [real], dtype: 'i32' },
      realClass: { shape: [real], dtype: 'i32' },
      weights: { shape: [real], dtype: 'f64' },
      products: { shape: [n, n], dtype: 'f64' },
      cross: { shape: [n, k], dtype: 'f64' },
      squares: { shape: [1], dtype: 'f64' },
    },
    outputs: { products: { donate: 'products' }, cross: { donate: 'cross' }, squares: { donate: 'squares' }, loss: {}, info: {} },
    build(v) {
      const synthetic = flatRows(v.images)
      const { coefficients, info } = kernelRidgeSolve(infiniteKernelOf(network, synthetic), cast(v.startTargets, 'f64'), ridge)
      // images that an earlier step has had already count nothing
      const isNew = reshape(v.weights, [real, 1])
      const kernel = mul(infiniteKernel(network, flatRows(rows.gather(v, v.realIndex)), synthetic), isNew)
      const targets = mul(cast(centred(v.realClass, k), 'f64'), isNew)
      const errors = sum(square(sub(matmul(kernel, coefficients), targets)))
      return {
        products: add(v.products, gram(transpose(kernel, [1, 0]))),
        cross: add(v.cross, matmul(kernel, targets, { transposeA: true })),
        squares: add(v.squares, reshape(sum(square(targets)), [1])),
        loss: mul(errors, 1 / (2 * real * k)),
        info,
      }
    },
  })
}

/** A = V' diag(factors) V (K_st Y_t), targets = (K_ss + lambda I) A, and |K_ts A - Y_t|² as loss; rows of V are eigenvectors. */
function solveProgram(device: Device, { network, images, classes: k }: Problem): BoundProgram {
  const [n] = images
  const square64 = { shape: [n, n], dtype: 'f64' } as const
  return bindProgram<string, string>(device, {
    inputs: {
      images: { shape: images },
      targets: { shape: [n, k] },
      products: square64,
      cross: { shape: [n, k], dtype: 'f64' },
      squares: { shape: [1], dtype: 'f64' },
      info: { shape: [6], dtype: 'f64' },
      vectors: square64,
      factors: { shape: [n, 1], dtype: 'f64' },
    },
    outputs: { targets: { donate: 'targets' }, loss: {} },
    build(v) {
      const coefficients = matmul(v.vectors, mul(matmul(v.vectors, v.cross), v.factors), { transposeA: true })
      const kernel = infiniteKernelOf(network, flatRows(v.images))
      // the ridge that the coefficients of any labels are found with, which the ladder may have raised
      const lambda = slice(v.info, [ridgeInfo.ridge], [ridgeInfo.ridge + 1])
      const fitted = sub(matmul(v.products, coefficients), mul(v.cross, 2))
      return {
        targets: cast(add(matmul(kernel, coefficients), mul(coefficients, lambda)), 'f32'),
        loss: add(sum(mul(coefficients, fitted)), reshape(v.squares, [])),
      }
    },
  })
}
