/**
 * @file Matching steps of a gradient method under dynamic pruning. Every so many steps the samples of all classes are looked at before any is
 * matched; then each class is matched on what is left of its batch, at the smallest of a few batch sizes that holds it.
 */
import type { Sampler } from '../../data/sampler.js'
import { allOrNothing } from '../../engine/all-or-nothing.js'
import type { BoundProgram } from '../../engine/bound-program.js'
import type { Plan } from '../../engine/compile/program.js'
import type { DeviceArray } from '../../engine/runtime/array.js'
import type { Device } from '../../engine/runtime/device.js'
import { type GradientShape, gradientStep } from '../gradient-step.js'
import type { IterationRange, IterationState, Iterations } from '../iterations.js'
import { GradientLook, type GradientSettings, settled } from './gradient-look.js'
import { DynamicRule, type Selection } from './rule.js'

type Arrays = Readonly<Record<string, DeviceArray>>

/** Batch sizes that a class is matched at, in parts of the whole: its size depends on its counts alone, never on time. */
const rungs = 8

/** The matching program at one batch size, with the rows of every class that is matched at it. */
interface Rung {
  readonly perClass: number
  readonly match: BoundProgram
  readonly arrays: Readonly<Record<'realIndex' | 'realLabels' | 'realWeights', DeviceArray>>
}

/** Which matching step, and of which iteration: both count from 0. */
export interface MatchingStep {
  readonly step: number
  readonly iteration: number
  /** Augmentation, one row a class; absent without one. */
  readonly theta: Float32Array | undefined
}

export class GradientPruning {
  readonly plans: Readonly<Record<'match' | 'probe' | 'measure', Plan>>
  readonly extraState: NonNullable<Iterations['extraState']>
  readonly #device: Device
  readonly #settings: GradientSettings
  readonly #shape: GradientShape
  readonly #sampler: Sampler
  readonly #rule: DynamicRule
  readonly #look: GradientLook
  readonly #realCount: DeviceArray
  readonly #rungs = new Map<number, Rung>()

  constructor(device: Device, settings: GradientSettings, shape: GradientShape, sampler: Sampler, samples: number) {
    const { classes, realBatch } = shape
    this.#device = device
    this.#settings = settings
    this.#shape = shape
    this.#sampler = sampler
    this.#rule = new DynamicRule(settings.dynamic, samples, classes)
    const made = allOrNothing((own) => ({
      look: own(new GradientLook(device, settings, shape)),
      realCount: own(device.array('f32', [classes, 1])),
      full: own(this.#makeRung(realBatch)),
    }))
    this.#look = made.look
    this.#realCount = made.realCount
    this.#rungs.set(realBatch, made.full)
    this.extraState = {
      masked: { dtype: 'u8', shape: [this.#rule.masked.length] },
      moments: { dtype: 'f64', shape: [this.#rule.moments.length] },
    }
    this.plans = { match: made.full.match.plan, ...made.look.plans }
  }

  /** Floating-point operations of what a matching step does beside matching, on average. */
  get flops(): number {
    return this.#look.flops / this.#settings.dynamic.every
  }

  async load({ masked, moments }: IterationState): Promise<void> {
    this.#rule.masked.set((await masked.read()) as Uint8Array)
    this.#rule.moments.set((await moments.read()) as Float64Array)
  }

  /**
   * One matching step over all classes; resolves to the sum of their distances. `arrays` holds the state, the network, and the whole batch's
   * arrays, which a look writes; the augmentation is uploaded here.
   */
  async match(arrays: Arrays, { step, iteration, theta }: MatchingStep, { signal, onPruning }: IterationRange): Promise<number> {
    const { realBatch } = this.#shape
    const draw = { rows: this.#sampler.draw(step), perClass: realBatch, counts: this.#sampler.counts }
    const uploads = theta ? [arrays.theta.write(theta)] : []
    if (!this.#rule.looks(step)) return this.#matchOn(arrays, draw.rows, this.#rule.select(draw), uploads, signal)
    // before the look is queued, which reads them
    uploads.push(arrays.realIndex.write(draw.rows))
    const [effects] = await Promise.all([this.#look.effects(arrays, { draw, step, theta }, signal), ...uploads])
    // As a loss that is not finite: the run ends or goes back by its policy, and nothing has been changed.
    if (!this.#rule.isFinite(draw, effects)) return Number.NaN
    this.#rule.look(draw, effects)
    const selection = this.#rule.select(draw)
    const kept = [arrays.masked.write(this.#rule.masked), arrays.moments.write(this.#rule.moments)]
    const loss = await this.#matchOn(arrays, draw.rows, selection, kept, signal)
    onPruning?.({
      type: 'pruning',
      step: iteration + 1,
      matching: step + 1,
      drawn: draw.counts.reduce((a, b) => a + b, 0),
      used: selection.used.reduce((total, places) => total + places.length, 0),
      fallbacks: selection.fallbacks.length,
      masked: this.#rule.masked.reduce((a, b) => a + b, 0),
    })
    return loss
  }

  async #matchOn(
    arrays: Arrays,
    rows: Int32Array,
    { used }: Selection,
    before: readonly Promise<void>[],
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const { classes } = this.#shape
    const sizes = used.map((places) => this.#rungSize(places.length))
    // Uploads and runs queue in this order; no run waits for JavaScript between them.
    const queued = [...before, this.#realCount.write(Float32Array.from(used, (places) => places.length))]
    for (const perClass of [...new Set(sizes)].sort((a, b) => b - a)) {
      const rung = this.#rungOf(perClass)
      const index = new Int32Array(classes * perClass)
      const weights = new Float32Array(classes * perClass)
      for (const [c, places] of used.entries()) {
        if (sizes[c] !== perClass) continue
        const own = index.subarray(c * perClass, (c + 1) * perClass)
        own.fill(rows[places[0]])
        for (const [i, place] of places.entries()) own[i] = rows[place]
        weights.fill(1, c * perClass, c * perClass + places.length)
      }
      queued.push(rung.arrays.realIndex.write(index), rung.arrays.realWeights.write(weights))
      const bound = { ...arrays, ...rung.arrays, realCount: this.#realCount }
      for (const [first, n] of stretches(sizes, perClass))
        queued.push(rung.match.run(bound, { startStep: first, n, ...(signal && { signal }) }))
    }
    await settled(queued)
    return ((await arrays.loss.read()) as Float32Array).reduce((sum, ofClass) => sum + ofClass, 0)
  }

  #rungSize(count: number): number {
    const { realBatch } = this.#shape
    return Math.ceil((Math.ceil((count * rungs) / realBatch) * realBatch) / rungs)
  }

  #rungOf(perClass: number): Rung {
    const known = this.#rungs.get(perClass)
    if (known) return known
    const rung = this.#makeRung(perClass)
    this.#rungs.set(perClass, rung)
    return rung
  }

  #makeRung(perClass: number): Rung & { dispose(): void } {
    const { classes } = this.#shape
    const settings = { ...this.#settings, options: this.#settings.methodOptions }
    const labels = Int32Array.from({ length: classes * perClass }, (_, i) => Math.floor(i / perClass))
    const made = allOrNothing((own) => ({
      match: own(gradientStep(this.#device, settings, { ...this.#shape, realBatch: perClass, padded: true })),
      arrays: {
        realIndex: own(this.#device.array('i32', [classes, perClass])),
        realLabels: own(this.#device.array('i32', [classes, perClass], labels)),
        realWeights: own(this.#device.array('f32', [classes, perClass])),
      },
    }))
    return {
      perClass,
      ...made,
      dispose() {
        for (const array of Object.values(made.arrays)) array.dispose()
        made.match.dispose()
      },
    }
  }

  dispose(): void {
    this.#look.dispose()
    this.#realCount.dispose()
    for (const { match, arrays } of this.#rungs.values()) {
      for (const array of Object.values(arrays)) array.dispose()
      match.dispose()
    }
  }
}

/** Places of neighbouring equals to `wanted` in a list: [first, how many]. */
function stretches(list: readonly number[], wanted: number): [number, number][] {
  const found: [number, number][] = []
  for (const [i, value] of list.entries()) {
    if (value !== wanted) continue
    const last = found.at(-1)
    if (last && last[0] + last[1] === i) last[1]++
    else found.push([i, 1])
  }
  return found
}
