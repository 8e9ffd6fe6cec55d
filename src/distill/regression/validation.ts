/** @file Validation of a run of kernel ridge regression: how its set answers held-out images under networks that stay, and the best set so far. */
import { allOrNothing } from '../../engine/all-or-nothing.js'
import { type BoundProgram, bindProgram } from '../../engine/bound-program.js'
import { argmax, cast, equal, sum } from '../../engine/index.js'
import type { DeviceArray } from '../../engine/runtime/array.js'
import type { Device } from '../../engine/runtime/device.js'
import { fold, type Key } from '../../engine/tensor/key.js'
import type { ValidationRecord } from '../../experiment/types.js'
import type { Network } from '../../nn/module.js'
import type { RowSource } from '../../preprocess/row-source.js'
import type { IterationState } from '../iterations.js'
import type { StateDeclaration } from '../state.js'
import type { HeldOut } from './held-out.js'
import type { LabelRegression, ValidationSettings } from './label-settings.js'
import { answersOf, fitOf } from './label-step.js'

interface Validated {
  readonly regression: LabelRegression
  readonly settings: ValidationSettings
  readonly held: HeldOut
  readonly network: Network
  readonly rows: RowSource
  /** Of all rows of the data set. */
  readonly labels: Int32Array
  /** Shapes of the synthetic images and of their labels. */
  readonly images: readonly number[]
  readonly targets: readonly number[]
  /** Real images of a step: no more are answered at once. */
  readonly real: number
  readonly key: Key
}

type Arrays = Readonly<Record<string, DeviceArray>>

const bestImages = 'best:images'
const bestTargets = 'best:targets'

/** Of the arrays of a state those of the best set, under the names of where the run is. */
export const bestArrays = (arrays: Arrays): Arrays => ({
  images: arrays[bestImages],
  ...(arrays[bestTargets] && { targets: arrays[bestTargets] }),
})

export class Validation {
  readonly #of: Validated
  readonly #program: BoundProgram
  readonly #arrays: Arrays
  readonly #chunk: number
  #best = { step: 0, loss: Number.MAX_VALUE }

  constructor(device: Device, of: Validated) {
    const count = of.held.rows.length
    // equal pieces: the loss of all is then the mean of theirs
    this.#chunk = Array.from({ length: Math.min(count, of.real) }, (_, i) => Math.min(count, of.real) - i).find((n) => count % n === 0) ?? 1
    const made = allOrNothing((own) => ({
      program: own(validationProgram(device, of, this.#chunk)),
      arrays: {
        ...{ index: own(device.array('i32', [this.#chunk])), classes: own(device.array('i32', [this.#chunk])) },
        ...{ loss: own(device.array('f64', [])), hits: own(device.array('f32', [])), info: own(device.array('f64', [6])) },
        key: own(device.array('u32', [2], Uint32Array.from(fold(of.key, 'validation-networks')))),
      },
    }))
    this.#of = of
    this.#program = made.program
    this.#arrays = made.arrays
  }

  get plan(): BoundProgram['plan'] {
    return this.#program.plan
  }

  /** Of all held-out images, spread over the steps between two validations. */
  get flopsPerStep(): number {
    return ((this.#of.held.rows.length / this.#chunk) * this.plan.flops) / this.#of.settings.every
  }

  /** Completed steps of the best set; 0 before the first validation. */
  get bestStep(): number {
    return this.#best.step
  }

  get declared(): StateDeclaration['tensors'] {
    const { images, targets, regression } = this.#of
    return {
      [bestImages]: { shape: images },
      ...(regression.learnedLabels && { [bestTargets]: { shape: targets } }),
      bestLoss: { dtype: 'f64', shape: [], start: Float64Array.of(Number.MAX_VALUE) },
      bestStep: { dtype: 'i32', shape: [] },
    }
  }

  async load({ bestStep, bestLoss }: IterationState): Promise<void> {
    this.#best = { step: (await bestStep.read())[0], loss: (await bestLoss.read())[0] }
  }

  isDue(step: number): boolean {
    return step % this.#of.settings.every === 0
  }

  /** Whether the last validation was `patience` steps or more behind the best. */
  isOver(step: number): boolean {
    const { every, patience } = this.#of.settings
    return patience > 0 && this.#best.step > 0 && step - (step % every) - this.#best.step >= patience
  }

  /** Answers all held-out images after `step` steps, and keeps the set where it is the best; `shared` holds the pixels of all rows. */
  async measure(state: IterationState, shared: Arrays, step: number, signal: AbortSignal | undefined) {
    const { held, labels } = this.#of
    const images = state.shown ?? state.images
    const arrays: Arrays = { ...shared, ...state, ...this.#arrays, images }
    let [loss, hits] = [0, 0]
    for (let first = 0; first < held.rows.length; first += this.#chunk) {
      const rows = held.rows.slice(first, first + this.#chunk)
      await Promise.all([
        arrays.index.write(rows),
        arrays.classes.write(Int32Array.from(rows, (row) => labels[row])),
        // the counter of the draws: the same networks every time
        this.#program.run(arrays, { startStep: 0, ...(signal && { signal }) }),
      ])
      const [own, right] = await Promise.all([arrays.loss.read(), arrays.hits.read()])
      loss += (own[0] * rows.length) / held.rows.length
      hits += right[0]
    }
    if (loss < this.#best.loss) await this.#keep(state, images, { step, loss })
    const record: ValidationRecord = { loss, accuracy: (100 * hits) / held.rows.length, bestStep: this.#best.step }
    return { record, info: (await arrays.info.read()) as Float64Array }
  }

  async #keep(state: IterationState, images: DeviceArray, best: { step: number; loss: number }): Promise<void> {
    this.#best = best
    await Promise.all([
      state[bestImages].copyFrom(images),
      state[bestTargets]?.copyFrom(state.targets),
      state.bestLoss.write(Float64Array.of(best.loss)),
      state.bestStep.write(Int32Array.of(best.step)),
    ])
  }

  dispose(): void {
    this.#program.dispose()
    for (const array of Object.values(this.#arrays)) array.dispose()
  }
}

function validationProgram(device: Device, of: Validated, chunk: number): BoundProgram {
  const { regression, settings, network, rows, images, targets } = of
  const { source, ridge, loss } = regression
  const fixed = source.kind === 'random' ? { ...source, features: { ...source.features, networks: settings.networks } } : source
  const random = source.kind === 'random'
  return bindProgram<string, string, string>(device, {
    ...(random && { step: 'step' }),
    inputs: {
      ...rows.inputs,
      ...{ images: { shape: images }, targets: { shape: targets }, logScale: { shape: [] } },
      ...{ index: { shape: [chunk], dtype: 'i32' }, classes: { shape: [chunk], dtype: 'i32' } },
      ...(random && { key: { shape: [2], dtype: 'u32' as const } }),
    },
    outputs: { loss: {}, hits: {}, info: {} },
    build(v) {
      const { images, targets, classes, logScale } = v
      const draw = { key: v.key, counter: v.step }
      const batch = { images, targets, real: rows.gather(v, v.index), classes, logScale, draw, frozen: { parameters: {}, state: {} } }
      const { answers, info } = answersOf({ network, source: fixed }, batch, ridge)
      const hits = sum(equal(cast(argmax(answers), 'f32'), cast(classes, 'f32')))
      return { loss: cast(fitOf(loss, answers, { classes, logScale }), 'f64'), hits, info }
    },
  })
}
