/**
 * @file Replays of whole iterations of gradient matching (DC): matching steps class by class, training of the network between them, and
 * batch-norm statistics before them, through the functions that the product's programs are made of.
 */
import { classUpdate, movedStatistics, parameterKey, stateKey } from '../distill/gradient-step.js'
import { dc } from '../distill/matching/dc.js'
import type { GradientMetric } from '../distill/matching/gradient-distance.js'
import { networkUpdate } from '../distill/network-training.js'
import { reshape, type Value } from '../engine/index.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList } from './compare.js'
import type { GoldenEngine, GoldenInput, Inputs } from './engines.js'
import { fieldAt, listAt, numberAt, scalarTensor, tensorAt } from './fields.js'
import { metrics } from './gradient-matching.js'
import { images, networkOf, toNchw, weightsOf } from './matching-case.js'
import { type GoldenNetwork, toTorch } from './network.js'
import type { GoldenTensor } from './tensor.js'

export const isGradientSteps = (golden: GoldenCase): boolean => fieldAt(golden, 'params', 'train_batches') !== undefined

type State = Record<string, GoldenTensor>
type RowLists = readonly (readonly number[])[]

export async function replayGradientSteps(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const run = new Replay(golden, engine)
  const checks = new CheckList(engine.name)
  const steps = listAt(golden, 'expected', 'loss_of_step')
  for (const [step, expected] of steps.entries()) {
    await run.fixStatistics(step)
    checks.add(`loss_of_step.${step}`, 'loss', scalarTensor(await run.match()), scalarTensor(Number(expected)))
    if (step < steps.length - 1) await run.train(step)
  }
  // Displacements, not values: what hardly moves would hide a wrong update. All parameters are one vector, as for a trajectory.
  const add = (name: string, after: readonly number[], before: readonly number[], expected: readonly number[]) => {
    const moved = (x: readonly number[]) => ({ shape: [x.length], data: Float64Array.from(x, (value, i) => value - before[i]) })
    checks.add(name, 'gradient', moved(after), moved(expected))
  }
  const synthetic = (...path: string[]) => [...tensorAt(golden, 4, ...path).data]
  add('syn_after', run.syntheticImages(), synthetic('inputs', 'syn'), synthetic('expected', 'syn_after'))
  const { parameters } = run.net.network
  const weights = (...path: string[]) => parameters.flatMap(({ name, layout }) => [...tensorAt(golden, ranks[layout], ...path, name).data])
  const after = parameters.flatMap((parameter) => [...toTorch(parameter, run.state[parameterKey(parameter.name)])])
  add('weights_after', after, weights('weights'), weights('expected', 'weights_after'))
  for (const { name } of run.net.network.state) {
    const expected = tensorAt(golden, 1, 'expected', 'state_after', name)
    checks.add(`state_after.${name}`, 'loss', run.state[stateKey(name)], expected)
  }
  return checks.checks
}

const ranks = { conv: 4, linear: 2, map: 3, tokens: 2, vector: 1 }
const integers = (data: readonly number[], shape: readonly number[]): GoldenInput => ({
  shape,
  data: Float64Array.from(data),
  dtype: 'i32',
})
const filled = (shape: readonly number[], value: number): GoldenTensor => ({
  shape,
  data: new Float64Array(shape.reduce((a, b) => a * b, 1)).fill(value),
})

class Replay {
  readonly net: GoldenNetwork
  /** Network and running statistics under their names in a program. */
  state: State
  readonly #golden: GoldenCase
  readonly #engine: GoldenEngine
  readonly #real: GoldenTensor
  readonly #classes: number
  readonly #ipc: number
  /** Images and velocity of each class. */
  readonly #sides: { images: GoldenTensor; velocity: GoldenTensor }[]

  constructor(golden: GoldenCase, engine: GoldenEngine) {
    this.#golden = golden
    this.#engine = engine
    this.net = networkOf(golden)
    const { network } = this.net
    this.state = {
      ...Object.fromEntries(Object.entries(weightsOf(golden, this.net)).map(([name, tensor]) => [parameterKey(name), tensor])),
      ...Object.fromEntries(network.state.map(({ name, shape, initial }) => [stateKey(name), filled([1, ...shape], initial)])),
    }
    this.#real = images(tensorAt(golden, 4, 'inputs', 'real'))
    this.#classes = numberAt(golden, 'inputs', 'num_classes')
    this.#ipc = numberAt(golden, 'inputs', 'ipc')
    const synthetic = images(tensorAt(golden, 4, 'inputs', 'syn'))
    this.#sides = Array.from({ length: this.#classes }, (_, c) => {
      const own = rowsOf(synthetic, range(c * this.#ipc, this.#ipc))
      return { images: own, velocity: filled(own.shape, 0) }
    })
  }

  /** Before a matching step, with batch norm: a pass over the stated real images. */
  async fixStatistics(step: number): Promise<void> {
    if (this.net.network.state.length === 0) return
    const rows = (listAt(this.#golden, 'params', 'statistics_rows') as RowLists)[step]
    const inputs = { ...this.state, x: rowsOf(this.#real, rows) }
    Object.assign(this.state, await this.#engine.run((v) => movedStatistics(this.net.network, v, v.x), inputs))
  }

  /** One matching step over all classes; returns the sum of their distances. */
  async match(): Promise<number> {
    const n = (name: string) => numberAt(this.#golden, 'params', name)
    const metric = metrics[String(fieldAt(this.#golden, 'params', 'metric'))] as GradientMetric
    const layers = listAt(this.#golden, 'params', 'layers').map(Number)
    const step = { method: dc, options: { metric, layers }, imageLr: n('image_lr'), imageMomentum: n('momentum') }
    const perClass = numberAt(this.#golden, 'inputs', 'real_per_class')
    let total = 0
    for (const [c, side] of this.#sides.entries()) {
      const labels = (count: number) => integers(Array<number>(count).fill(c), [count])
      const inputs: Inputs = {
        ...this.state,
        ...side,
        real: rowsOf(this.#real, range(c * perClass, perClass)),
        realLabels: labels(perClass),
        syntheticLabels: labels(this.#ipc),
        realCount: filled([1], perClass),
        syntheticCount: filled([1], this.#ipc),
      }
      const { loss, ...next } = await this.#engine.run((v) => {
        const batch = (x: Value, kind: string) => ({
          images: reshape(x, [1, ...x.shape]),
          classIndex: v[`${kind}Labels`],
          counts: v[`${kind}Count`],
        })
        return classUpdate(step, this.net.network, v, { real: batch(v.real, 'real'), synthetic: batch(v.images, 'synthetic') })
      }, inputs)
      total += loss.data[0]
      this.#sides[c] = { images: next.images, velocity: next.velocity }
    }
    return total
  }

  /** Trains the network in the stated batches; a short one is padded with rows of weight 0, as the product does. */
  async train(step: number): Promise<void> {
    const batches = (listAt(this.#golden, 'params', 'train_batches') as readonly RowLists[])[step]
    const batch = Math.max(...batches.map((rows) => rows.length))
    const shape = {
      network: this.net.network,
      classes: this.#classes,
      ipc: this.#ipc,
      batch,
      lr: numberAt(this.#golden, 'params', 'network_lr'),
    }
    const all = {
      shape: [this.#classes * this.#ipc, ...this.#real.shape.slice(1)],
      data: Float64Array.from(this.#sides.flatMap(({ images }) => [...images.data])),
    }
    for (const rows of batches) {
      const places = range(0, batch).map((i) => rows[i] ?? 0)
      const inputs: Inputs = {
        ...this.state,
        x: rowsOf(all, places),
        labels: integers(
          places.map((row) => Math.floor(row / this.#ipc)),
          [1, batch],
        ),
        weights: { shape: [1, batch], data: Float64Array.from(places, (_, i) => (i < rows.length ? 1 / rows.length : 0)) },
      }
      Object.assign(this.state, await this.#engine.run((v) => networkUpdate(shape, v, v.x), inputs))
    }
  }

  /** All classes' images, NCHW. */
  syntheticImages(): readonly number[] {
    return this.#sides.flatMap(({ images }) => [...toNchw(images).data])
  }
}

const range = (first: number, count: number): readonly number[] => Array.from({ length: count }, (_, i) => first + i)

function rowsOf({ shape, data }: GoldenTensor, rows: readonly number[]): GoldenTensor {
  const size = data.length / shape[0]
  const picked = new Float64Array(rows.length * size)
  for (const [i, row] of rows.entries()) picked.set(data.subarray(row * size, (row + 1) * size), i * size)
  return { shape: [rows.length, ...shape.slice(1)], data: picked }
}
