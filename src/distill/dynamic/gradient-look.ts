/**
 * @file Looks at the real batch of a gradient method: for each class one program that turns random directions of its synthetic pixels into
 * directions of the parameters, then one that runs over the samples in pieces, so that memory does not grow with the batch.
 */
import { thetaSize } from '../../augment/dsa.js'
import { allOrNothing } from '../../engine/all-or-nothing.js'
import { type BoundProgram, bindProgram, type NamedInput } from '../../engine/bound-program.js'
import {
  augment,
  broadcast,
  full,
  gather,
  greater,
  randomUniform,
  reshape,
  select,
  sqrt,
  square,
  sub,
  sum,
  type Value,
} from '../../engine/index.js'
import type { DeviceArray } from '../../engine/runtime/array.js'
import type { Device } from '../../engine/runtime/device.js'
import { fold, keyOf, purpose } from '../../engine/tensor/key.js'
import { uniform } from '../../engine/tensor/philox.js'
import type { Network } from '../../nn/module.js'
import { classInputs, type GradientShape, networkInputs, parametersOf } from '../gradient-step.js'
import type { ClassBatch, GradientMethod } from '../method.js'
import type { ResolvedSettings } from '../settings.js'
import { gradientProbes, sampleGradientsAlong } from './gradient-effect.js'
import type { BatchDraw } from './rule.js'
import type { DynamicSettings } from './settings.js'

export type GradientSettings = ResolvedSettings & { readonly method: GradientMethod; readonly dynamic: DynamicSettings }
type Arrays = Readonly<Record<string, DeviceArray>>

/** Numbers of the gradients that one piece holds, 64 MB; and most samples of a piece. */
const pieceElements = 2 ** 24
const mostSamples = 32

/** Samples whose gradients are held at once: a power of two that follows from the network alone. */
export function samplesPerPiece({ parameters }: Network, realBatch: number): number {
  const each = parameters.reduce((total, { shape }) => total + shape.reduce((a, b) => a * b, 1), 0)
  let samples = 1
  while (samples * 2 <= Math.min(mostSamples, realBatch) && samples * 2 * each <= pieceElements) samples *= 2
  return samples
}

const alongKey = (name: string): string => `along:${name}`

export class GradientLook {
  readonly #settings: GradientSettings
  readonly #shape: GradientShape
  readonly #samples: number
  /** Of a class. */
  readonly #pieces: number
  readonly #probe: BoundProgram
  readonly #measure: BoundProgram
  readonly #arrays: Arrays

  constructor(device: Device, settings: GradientSettings, shape: GradientShape) {
    const { classes, realBatch, augmented, network } = shape
    const { probes } = settings.dynamic
    this.#settings = settings
    this.#shape = shape
    this.#samples = samplesPerPiece(network, realBatch)
    this.#pieces = Math.ceil(realBatch / this.#samples)
    const pieces = classes * this.#pieces
    const samples = this.#samples
    const made = allOrNothing((own) => {
      const make = (...array: Parameters<Device['array']>) => own(device.array(...array))
      return {
        probe: own(probeProgram(device, settings, shape)),
        measure: own(measureProgram(device, settings, shape, { samples, pieces })),
        arrays: {
          ...Object.fromEntries(network.parameters.map(({ name, shape: s }) => [alongKey(name), make('f32', [probes, ...s])])),
          ofMean: make('f32', [1, probes]),
          directionKey: make('u32', [2]),
          picked: make('i32', [classes, probes]),
          pickedLabels: make('i32', [classes, probes], labelsOf(classes, probes)),
          pieceIndex: make('i32', [pieces, samples]),
          pieceLabels: make('i32', [pieces, samples], labelsOf(classes, this.#pieces * samples)),
          ...(augmented ? { pieceTheta: make('f32', [pieces, thetaSize]) } : {}),
          lengths: make('f32', [pieces, samples]),
        },
      }
    })
    this.#probe = made.probe
    this.#measure = made.measure
    this.#arrays = made.arrays
  }

  get plans() {
    return { probe: this.#probe.plan, measure: this.#measure.plan }
  }

  /** Floating-point operations of a look. */
  get flops(): number {
    return this.#shape.classes * (this.#probe.plan.flops + this.#pieces * this.#measure.plan.flops)
  }

  /**
   * Length of the effect of every sample of the batch of matching step `step`, by place. `arrays` holds the network, the state, and the batch
   * and its augmentation as the matching step takes them; `theta` is that augmentation, one row a class.
   */
  async effects(
    arrays: Arrays,
    { draw, step, theta }: { readonly draw: BatchDraw; readonly step: number; readonly theta: Float32Array | undefined },
    signal: AbortSignal | undefined,
  ): Promise<Float64Array> {
    const { classes } = this.#shape
    const { seed, ipc, dynamic } = this.#settings
    const bound = { ...arrays, ...this.#arrays }
    const aborting = signal && { signal }
    const place = (piece: number, i: number) => Math.min((piece % this.#pieces) * this.#samples + i, draw.perClass - 1)
    const pieces = classes * this.#pieces
    const index = new Int32Array(pieces * this.#samples)
    for (let at = 0; at < index.length; at++) {
      const piece = Math.floor(at / this.#samples)
      index[at] = draw.rows[Math.floor(piece / this.#pieces) * draw.perClass + place(piece, at % this.#samples)]
    }
    const uploads = [
      bound.pieceIndex.write(index),
      bound.directionKey.write(Uint32Array.from(fold(keyOf(seed), 'probe-direction', step))),
      bound.picked.write(this.#picks(step)),
    ]
    if (theta) {
      const rows = new Float32Array(pieces * thetaSize)
      for (let piece = 0; piece < pieces; piece++) {
        const c = Math.floor(piece / this.#pieces)
        rows.set(theta.subarray(c * thetaSize, (c + 1) * thetaSize), piece * thetaSize)
      }
      uploads.push(bound.pieceTheta.write(rows))
    }
    await settled(uploads)
    // class by class: a queue of all would listen to the signal as often
    for (let c = 0; c < classes; c++) {
      const measuring = { startStep: c * this.#pieces, n: this.#pieces, ...aborting }
      await settled([this.#probe.run(bound, { startStep: c, ...aborting }), this.#measure.run(bound, measuring)])
    }
    const lengths = (await bound.lengths.read()) as Float32Array
    const effects = new Float64Array(classes * draw.perClass)
    for (let c = 0; c < classes; c++) {
      // one image of `ipc` was moved: the others' share of the squared length is as large on average
      const scale = Math.sqrt(ipc / dynamic.probes) / Math.max(draw.counts[c] - 1, 1)
      const single = draw.counts[c] === 1
      const own = lengths.subarray(c * this.#pieces * this.#samples)
      for (let i = 0; i < draw.perClass; i++) effects[c * draw.perClass + i] = single ? 0 : own[i] * scale
    }
    return effects
  }

  /** The synthetic image of each class that each probe moves, class-major. */
  #picks(step: number): Int32Array {
    const { ipc, seed, dynamic } = this.#settings
    const draws = uniform(fold(keyOf(seed), 'probe'), step, purpose.score, dynamic.probes * this.#shape.classes)
    return Int32Array.from(draws, (u) => Math.min(ipc - 1, Math.floor(u * ipc)))
  }

  dispose(): void {
    for (const array of Object.values(this.#arrays)) array.dispose()
    for (const program of [this.#probe, this.#measure]) program.dispose()
  }
}

/** Waits for all, so that none fails unheard, then fails with the first failure. */
export async function settled(promises: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(promises)
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

const labelsOf = (classes: number, each: number): Int32Array => Int32Array.from({ length: classes * each }, (_, i) => Math.floor(i / each))

/** [N, H, W, C] -> [1, N, H, W, C], under one augmentation for all. */
function viewed(x: Value, theta: Value | undefined): Value {
  const seen = theta ? augment(x, broadcast(reshape(theta, [1, thetaSize]), [x.shape[0], thetaSize])) : x
  return reshape(seen, [1, ...seen.shape])
}

/** Replay c: the directions of class c, from its real and synthetic batch. */
function probeProgram(device: Device, settings: GradientSettings, shape: GradientShape): BoundProgram {
  const { network, rows, classes, ipc } = shape
  const { method, methodOptions, dynamic } = settings
  const { probes } = dynamic
  const slots = { count: classes }
  const inputs: Record<string, NamedInput> = {
    ...classInputs(shape),
    directionKey: { shape: [2], dtype: 'u32' },
    picked: { shape: [probes], dtype: 'i32', slots },
    pickedLabels: { shape: [probes], dtype: 'i32', slots },
  }
  return bindProgram<string, string, string>(device, {
    inputs,
    outputs: Object.fromEntries([...network.parameters.map(({ name }) => [alongKey(name), {}]), ['ofMean', {}]]),
    step: 'class',
    build(v) {
      const real: ClassBatch = {
        images: viewed(rows.gather(v, v.realIndex), v.theta),
        classIndex: v.realLabels,
        counts: v.realCount,
        ...(v.realWeights ? { rowWeights: v.realWeights } : {}),
      }
      const synthetic: ClassBatch = { images: viewed(v.images, v.theta), classIndex: v.syntheticLabels, counts: v.syntheticCount }
      const pixels = gather(v.images, v.picked)
      // each probe is a class of one image: its count is 1
      const batch: ClassBatch = { images: viewed(pixels, v.theta), classIndex: v.pickedLabels, counts: full([probes, 1], 1) }
      const coin = greater(randomUniform(v.directionKey, v.class, [probes, ...network.input], purpose.score), 0.5)
      const { along, ofMean } = gradientProbes(method, methodOptions, {
        ...{ network, parameters: parametersOf(network, v), real, synthetic, ipc },
        probes: { pixels, batch, directions: select(coin, 1, -1) },
      })
      return {
        ...Object.fromEntries(network.parameters.map(({ name }) => [alongKey(name), along[name]])),
        ofMean: reshape(ofMean, [1, probes]),
      }
    },
  })
}

/** Replay p: root of the sum over the directions of <w, g - G>^2 of piece p's samples. */
function measureProgram(
  device: Device,
  { dynamic: { probes } }: GradientSettings,
  { network, rows, augmented }: GradientShape,
  { samples, pieces }: { readonly samples: number; readonly pieces: number },
): BoundProgram {
  const slots = { count: pieces }
  const inputs: Record<string, NamedInput> = {
    ...networkInputs(network),
    ...Object.fromEntries(network.parameters.map(({ name, shape }) => [alongKey(name), { shape: [probes, ...shape] }])),
    ofMean: { shape: [1, probes] },
    ...rows.inputs,
    pieceIndex: { shape: [samples], dtype: 'i32', slots },
    pieceLabels: { shape: [samples], dtype: 'i32', slots },
    ...(augmented ? { pieceTheta: { shape: [thetaSize], slots } } : {}),
  }
  return bindProgram<string, string>(device, {
    inputs,
    outputs: { lengths: { slots } },
    build(v) {
      const batch = { images: viewed(rows.gather(v, v.pieceIndex), v.pieceTheta), classIndex: v.pieceLabels }
      const along = Object.fromEntries(network.parameters.map(({ name }) => [name, v[alongKey(name)]]))
      const apart = sub(sampleGradientsAlong(network, parametersOf(network, v), batch, along), v.ofMean)
      return { lengths: sqrt(sum(square(apart), { axes: [1] })) }
    },
  })
}
