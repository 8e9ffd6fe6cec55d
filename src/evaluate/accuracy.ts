/** @file Test accuracy of G networks in one pass over a data set: eval mode, without augmentation. */
import type { Dataset } from '../data/dataset.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import { type BoundProgram, bindProgram } from '../engine/bound-program.js'
import { argmax, broadcast, cast, equal, isFiniteMask, reshape, select, sum } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { AludelError } from '../errors.js'
import type { Network } from '../nn/module.js'
import { type RowSource, rowSource } from '../preprocess/row-source.js'
import { type NetworkArrays, networkInputs, networkValues, programArrays } from './trainer.js'

/** In place of 1 for a hit or 0 for none: logits that are no numbers. */
const notFinite = -1

/** Rows of one forward pass over all networks together. */
const rowsPerPass = 160

export interface Normalization {
  readonly mean: readonly number[]
  readonly std: readonly number[]
}

/** Accuracies in per cent. */
export interface TestAccuracy {
  readonly accuracy: number
  /** By class index; null for a class without test images. */
  readonly perClass: readonly (number | null)[]
}

/** Accuracies from 1 (right) or 0 per test image. */
export function accuracyOf({ labels, classes }: Pick<Dataset, 'labels' | 'classes'>, hits: Uint8Array): TestAccuracy {
  const right = new Array<number>(classes.length).fill(0)
  const total = new Array<number>(classes.length).fill(0)
  for (const [row, hit] of hits.entries()) {
    right[labels[row]] += hit
    total[labels[row]]++
  }
  const all = right.reduce((a, b) => a + b, 0)
  return { accuracy: (100 * all) / hits.length, perClass: right.map((count, c) => (total[c] > 0 ? (100 * count) / total[c] : null)) }
}

/** Holds the test images on the device; `measure` may be called for any networks of the same kind and group count. */
export class AccuracyMeter {
  readonly #arrays: Record<string, DeviceArray>
  readonly #program: BoundProgram
  readonly #batches: number
  readonly #test: Dataset

  /** Pixels are normalised as the training images were: with the statistics of the set that the networks were trained on. */
  constructor(device: Device, network: Network, test: Dataset, groups: number, normalization: Normalization) {
    const [rows] = test.shape
    this.#test = test
    const batch = Math.max(1, Math.min(rows, Math.floor(rowsPerPass / groups)))
    this.#batches = Math.ceil(rows / batch)
    const padded = this.#batches * batch
    const source = rowSource(test, normalization)
    const batches = [this.#batches, batch]
    const index = Int32Array.from({ length: padded }, (_, i) => Math.min(i, rows - 1))
    const labels = index.map((row) => test.labels[row])
    const { program, arrays } = allOrNothing((own) => ({
      program: own(forwardProgram(device, network, source, groups, batch, this.#batches)),
      arrays: {
        ...source.arrays((...array) => own(device.array(...array))),
        index: own(device.array('i32', batches, index)),
        labels: own(device.array('i32', batches, labels)),
        hits: own(device.array('f32', [this.#batches, groups, batch])),
      },
    }))
    this.#program = program
    this.#arrays = arrays
  }

  /** Floating-point operations of one pass over the test images. */
  get flops(): number {
    return this.#batches * this.#program.plan.flops
  }

  /** Accuracies of each network, in order. Throws `not_finite` for a logit that is no number. */
  async measure(networks: NetworkArrays, signal?: AbortSignal): Promise<TestAccuracy[]> {
    // Replays are split so that other work of the device's queue never waits for the whole pass.
    const passes = 8
    for (let first = 0; first < this.#batches; first += passes) {
      await this.#program.run(
        { ...this.#arrays, ...programArrays(networks) },
        { n: Math.min(passes, this.#batches - first), startStep: first, ...(signal && { signal }) },
      )
    }
    const hits = (await this.#arrays.hits.read()) as Float32Array
    const [, groups, batch] = this.#arrays.hits.shape
    const [rows] = this.#test.shape
    return Array.from({ length: groups }, (_, g) => {
      const hit = (row: number) => {
        const found = hits[(Math.floor(row / batch) * groups + g) * batch + (row % batch)]
        if (found === notFinite) throw new AludelError('not_finite', `network ${g}: a logit of test image ${row} is NaN or infinite`)
        return found === 1
      }
      return accuracyOf(
        this.#test,
        Uint8Array.from({ length: rows }, (_, row) => (hit(row) ? 1 : 0)),
      )
    })
  }

  dispose(): void {
    for (const array of Object.values(this.#arrays)) array.dispose()
    this.#program.dispose()
  }
}

function forwardProgram(device: Device, network: Network, source: RowSource, groups: number, batch: number, batches: number): BoundProgram {
  const image = network.input
  const slots = { count: batches }
  return bindProgram(device, {
    inputs: {
      ...networkInputs(network, groups),
      ...source.inputs,
      index: { shape: [batch], dtype: 'i32', slots },
      labels: { shape: [batch], dtype: 'i32', slots },
    },
    outputs: { hits: { slots } },
    build(v) {
      const x = reshape(source.gather(v, v.index), [1, batch, ...image])
      const { parameters, state } = networkValues(network, v)
      const shared = groups === 1 ? x : broadcast(x, [groups, batch, ...image])
      // Running statistics, not the batch's: an image's prediction must not depend on its neighbours.
      const { logits } = network.apply(parameters, shared, { mode: 'eval', state })
      const predicted = cast(argmax(logits), 'f32')
      // The largest of numbers of which one is none is a class like any other: such an image must not count as answered.
      const finite = equal(sum(isFiniteMask(logits), { axes: [2] }), network.classes)
      return { hits: select(finite, equal(predicted, cast(v.labels, 'f32')), notFinite) }
    },
  })
}
