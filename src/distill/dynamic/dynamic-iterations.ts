/**
 * @file Iterations under dynamic pruning. A step that looks makes one pass of its real batch: effects decide which of the features its loss
 * uses. The steps between draw their batches, leave out what is masked, and run at the smallest of a few batch sizes that holds what is left.
 */
import type { Dataset } from '../../data/dataset.js'
import { createSampler, type Sampler } from '../../data/sampler.js'
import { allOrNothing } from '../../engine/all-or-nothing.js'
import type { BoundProgram } from '../../engine/bound-program.js'
import type { DeviceArray } from '../../engine/runtime/array.js'
import type { Device } from '../../engine/runtime/device.js'
import { fold, keyOf, purpose } from '../../engine/tensor/key.js'
import { uniform } from '../../engine/tensor/philox.js'
import { Turn } from '../../event-loop.js'
import { rowSource } from '../../preprocess/row-source.js'
import type { IterationRange, IterationState, Iterations } from '../iterations.js'
import { type LossSettings, readLosses, realArrays, sharedArrays, uploadTheta } from '../matching-loop.js'
import { buildMatchingStep, chunkSlots, featuresKey, type StepShape } from '../matching-step.js'
import { buildLook, type LookProgram } from './look-program.js'
import { type BatchDraw, DynamicRule, type Selection } from './rule.js'
import type { DynamicSettings } from './settings.js'

type Settings = LossSettings & { readonly dynamic: DynamicSettings }
type Arrays = Readonly<Record<string, DeviceArray>>

/** Batch sizes that steps run at, in parts of the whole: a step's own size depends on its counts alone, never on time. */
const rungs = 16

/** A step at one batch size, over all classes together. */
interface Rung {
  readonly step: BoundProgram
  readonly arrays: Arrays
}

/** A step between two looks: its rows side by side, class after class, and places beyond them up to its batch size. */
interface Compacted {
  readonly rows: Int32Array
  readonly classIndex: Int32Array
  readonly weights: Float32Array
  readonly counts: Float32Array
}

export class DynamicIterations implements Iterations {
  readonly most = chunkSlots
  readonly plans: Iterations['plans']
  readonly imagesPerIteration: number
  readonly flopsPerIteration: number
  readonly stateShape: Iterations['stateShape']
  readonly extraState: NonNullable<Iterations['extraState']>
  readonly #device: Device
  readonly #settings: Settings
  readonly #sampler: Sampler
  readonly #rule: DynamicRule
  readonly #shape: StepShape
  readonly #arrays: Arrays
  readonly #look: LookProgram
  readonly #lookArrays: Arrays
  /** The step that goes on from the features of a look. */
  readonly #use: BoundProgram
  readonly #useArrays: Arrays
  readonly #rungs = new Map<number, Rung>()

  /** No class may be empty, and some must have `realBatch` images. */
  constructor(device: Device, dataset: Dataset, settings: Settings) {
    const { realBatch, ipc, dynamic, seed } = settings
    const classes = dataset.classes.length
    const sampler = createSampler({ dataset, perClass: realBatch, seed, purpose: purpose.realBatch })
    const realRows = classes * realBatch
    const image = dataset.shape.slice(1) as [number, number, number]
    const padded = sampler.counts.some((count) => count < realBatch)
    const shape: StepShape = { rows: rowSource(dataset), image, classes, realRows, padded }
    this.#device = device
    this.#settings = settings
    this.#sampler = sampler
    this.#shape = shape
    this.#rule = new DynamicRule(dynamic, dataset.shape[0], classes)
    const made = allOrNothing((own) => {
      const make: Device['array'] = (...array) => own(device.array(...array))
      const look = buildLook(device, settings, dynamic.probes, shape)
      own(look.program)
      const { widths } = look
      const probed = dynamic.probes * classes
      return {
        look,
        use: own(buildMatchingStep(device, settings, { ...shape, padded: true, features: widths })),
        arrays: { ...shape.rows.arrays(make), ...sharedArrays(make, settings, classes) },
        lookArrays: {
          ...realArrays(make, shape, chunkSlots),
          realCounts: make('f32', [classes, 1], Float32Array.from(sampler.counts)),
          ...(padded ? { realWeights: make('f32', [realRows, 1], sampler.weights) } : {}),
          picked: make('i32', [probed]),
          pickedClass: make(
            'i32',
            [probed],
            Int32Array.from({ length: probed }, (_, i) => i % classes),
          ),
          effects: make('f32', [realRows]),
          ...Object.fromEntries(widths.map((width, i) => [featuresKey(i), make('f32', [realRows, width])])),
        },
        useArrays: { realCounts: make('f32', [classes, 1]), realWeights: make('f32', [realRows, 1]) },
      }
    })
    this.#arrays = made.arrays
    this.#look = made.look
    this.#lookArrays = made.lookArrays
    this.#use = made.use
    this.#useArrays = made.useArrays
    const full = this.#fullRung(realRows)
    this.stateShape = [classes * ipc, ...image]
    this.extraState = {
      masked: { dtype: 'u8', shape: [this.#rule.masked.length] },
      moments: { dtype: 'f64', shape: [this.#rule.moments.length] },
    }
    this.plans = { step: full.step.plan, look: made.look.program.plan, use: made.use.plan }
    this.imagesPerIteration = realRows + classes * ipc
    const looking = made.look.program.plan.flops + made.use.plan.flops
    this.flopsPerIteration = (looking + (dynamic.every - 1) * full.step.plan.flops) / dynamic.every
  }

  async load({ masked, moments }: IterationState): Promise<void> {
    this.#rule.masked.set((await masked.read()) as Uint8Array)
    this.#rule.moments.set((await moments.read()) as Float64Array)
  }

  async run(state: IterationState, range: IterationRange): Promise<readonly number[]> {
    const { first, n } = range
    const losses: number[] = []
    const turn = new Turn()
    for (let step = first; step < first + n && losses.every(Number.isFinite); ) {
      if (this.#rule.looks(step)) {
        losses.push(await this.#lookAndStep(state, step, range))
        step++
        continue
      }
      const group: Compacted[] = []
      for (let s = step; s < first + n && !this.#rule.looks(s); s++) {
        await turn.breathe()
        const compacted = this.#compact(this.#drawAt(s))
        if (group.length > 0 && group[0].rows.length !== compacted.rows.length) break
        group.push(compacted)
      }
      losses.push(...(await this.#stepTogether(state, step, group, range)))
      step += group.length
    }
    return losses
  }

  #drawAt(step: number): BatchDraw {
    return { rows: this.#sampler.draw(step), perClass: this.#settings.realBatch, counts: this.#sampler.counts }
  }

  async #lookAndStep(state: IterationState, step: number, { signal, onPruning }: IterationRange): Promise<number> {
    const { classes, realRows } = this.#shape
    const draw = this.#drawAt(step)
    const aborting = { startStep: step, ...(signal && { signal }) }
    const arrays = { ...this.#arrays, ...this.#lookArrays, ...state }
    const batches = new Int32Array(chunkSlots * realRows)
    batches.set(draw.rows, (step % chunkSlots) * realRows)
    const theta = await uploadTheta(arrays, this.#settings, classes, { first: step, n: 1 })
    const uploads = [arrays.realIndex.write(batches), arrays.picked.write(this.#picks(step)), ...theta]
    await Promise.all([...uploads, this.#look.program.run(arrays, aborting)])
    const effects = (await arrays.effects.read()) as Float32Array
    // As a loss that is not finite: the run ends or goes back by its policy, and nothing has been changed.
    if (!this.#rule.isFinite(draw, effects)) return Number.NaN
    this.#rule.look(draw, effects)
    const selection = this.#rule.select(draw)
    const { weights, counts } = this.#weigh(selection)
    const use = { ...arrays, ...this.#useArrays }
    await Promise.all([
      state.masked.write(this.#rule.masked),
      state.moments.write(this.#rule.moments),
      use.realWeights.write(weights),
      use.realCounts.write(counts),
      this.#use.run(use, aborting),
    ])
    onPruning?.({
      type: 'pruning',
      step: step + 1,
      drawn: draw.counts.reduce((a, b) => a + b, 0),
      used: counts.reduce((a, b) => a + b, 0),
      fallbacks: selection.fallbacks.length,
      masked: this.#rule.masked.reduce((a, b) => a + b, 0),
    })
    const [loss] = await readLosses(arrays.loss, { first: step, n: 1 })
    return loss
  }

  /** The synthetic image of each class that each probe moves: probe p's of class c in place p * classes + c. */
  #picks(step: number): Int32Array {
    const { ipc, seed, dynamic } = this.#settings
    const { classes } = this.#shape
    const draws = uniform(fold(keyOf(seed), 'probe'), step, purpose.score, dynamic.probes * classes)
    return Int32Array.from(draws, (u, i) => (i % classes) * ipc + Math.min(ipc - 1, Math.floor(u * ipc)))
  }

  /** 1 for the places that are used; how many of each class. */
  #weigh({ used }: Selection): { readonly weights: Float32Array; readonly counts: Float32Array } {
    const weights = new Float32Array(this.#shape.realRows)
    for (const place of used.flat()) weights[place] = 1
    return { weights, counts: Float32Array.from(used, (places) => places.length) }
  }

  /** The samples that are left of a batch, side by side, at the smallest batch size that holds them. */
  #compact(draw: BatchDraw): Compacted {
    const { used } = this.#rule.select(draw)
    const counts = Float32Array.from(used, (places) => places.length)
    const total = counts.reduce((a, b) => a + b, 0)
    const { realRows } = this.#shape
    const size = Math.ceil((Math.ceil((total * rungs) / realRows) * realRows) / rungs)
    const rows = new Int32Array(size).fill(draw.rows[0])
    const classIndex = new Int32Array(size)
    let at = 0
    for (const [c, places] of used.entries()) {
      classIndex.fill(c, at, at + places.length)
      for (const place of places) rows[at++] = draw.rows[place]
    }
    return { rows, classIndex, weights: new Float32Array(size).fill(1, 0, total), counts }
  }

  async #stepTogether(
    state: IterationState,
    first: number,
    group: readonly Compacted[],
    { signal }: IterationRange,
  ): Promise<readonly number[]> {
    const { step, arrays } = this.#rungOf(group[0].rows.length)
    const { classes } = this.#shape
    const bound = { ...this.#arrays, ...arrays, ...state }
    const { realIndex, realClass, realWeights, realCounts } = arrays
    const rows = realIndex.shape[1]
    const [index, classIndex, weights, counts] = [
      new Int32Array(chunkSlots * rows),
      new Int32Array(chunkSlots * rows),
      new Float32Array(chunkSlots * rows),
      new Float32Array(chunkSlots * classes),
    ]
    for (const [i, compacted] of group.entries()) {
      const slot = (first + i) % chunkSlots
      index.set(compacted.rows, slot * rows)
      classIndex.set(compacted.classIndex, slot * rows)
      weights.set(compacted.weights, slot * rows)
      counts.set(compacted.counts, slot * classes)
    }
    const n = group.length
    const theta = await uploadTheta(bound, this.#settings, classes, { first, n })
    const uploads = [realIndex.write(index), realClass.write(classIndex), realWeights.write(weights), realCounts.write(counts), ...theta]
    await Promise.all([...uploads, step.run(bound, { n, startStep: first, ...(signal && { signal }) })])
    return readLosses(bound.loss, { first, n })
  }

  /** The constructor's last resource: without it those before are freed. */
  #fullRung(realRows: number): Rung {
    try {
      return this.#rungOf(realRows)
    } catch (error) {
      this.dispose()
      throw error
    }
  }

  #rungOf(realRows: number): Rung {
    const known = this.#rungs.get(realRows)
    if (known) return known
    const { classes } = this.#shape
    const shape = { ...this.#shape, realRows, padded: true, selected: true }
    const made = allOrNothing((own) => {
      const make: Device['array'] = (...array) => own(this.#device.array(...array))
      return {
        step: own(buildMatchingStep(this.#device, this.#settings, shape)),
        arrays: {
          realIndex: make('i32', [chunkSlots, realRows]),
          realClass: make('i32', [chunkSlots, realRows]),
          realWeights: make('f32', [chunkSlots, realRows, 1]),
          realCounts: make('f32', [chunkSlots, classes, 1]),
        },
      }
    })
    this.#rungs.set(realRows, made)
    return made
  }

  dispose(): void {
    const arrays = [this.#arrays, this.#lookArrays, this.#useArrays, ...[...this.#rungs.values()].map((rung) => rung.arrays)]
    for (const array of arrays.flatMap((named) => Object.values(named))) array.dispose()
    for (const program of [this.#look.program, this.#use, ...[...this.#rungs.values()].map((rung) => rung.step)]) program.dispose()
  }
}
