/** @file Test accuracy of G networks in one pass over a data set: eval mode, without augmentation. */
import type { Dataset } from '../data/dataset.js'
import { scaleShift } from '../data/normalize.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import { type BoundProgram, bindProgram } from '../engine/bound-program.js'
import { argmax, broadcast, cast, equal, imageGather, mul, reshape, sum } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import type { Network } from '../nn/module.js'
import { type NetworkArrays, networkInputs, networkValues, programArrays } from './trainer.js'

/** Rows of one forward pass over all networks together. */
const rowsPerPass = 160

export interface Normalization {
  readonly mean: readonly number[]
  readonly std: readonly number[]
}

/** Holds the test images on the device; `measure` may be called for any networks of the same kind and group count. */
export class AccuracyMeter {
  readonly #arrays: Record<string, DeviceArray>
  readonly #program: BoundProgram
  readonly #groups: number
  readonly #batches: number
  readonly #rows: number

  /** Pixels are normalised as the training images were: with the statistics of the set that the networks were trained on. */
  constructor(device: Device, network: Network, test: Dataset, groups: number, normalization: Normalization) {
    const [rows] = test.shape
    const batch = Math.max(1, Math.min(rows, Math.floor(rowsPerPass / groups)))
    this.#groups = groups
    this.#rows = rows
    this.#batches = Math.ceil(rows / batch)
    const padded = this.#batches * batch
    const { scale, shift } = scaleShift(normalization)
    const batches = [this.#batches, batch]
    const index = Int32Array.from({ length: padded }, (_, i) => Math.min(i, rows - 1))
    const labels = index.map((row) => test.labels[row])
    const valid = Float32Array.from({ length: padded }, (_, i) => (i < rows ? 1 : 0))
    const { program, arrays } = allOrNothing((own) => ({
      program: own(forwardProgram(device, network, test, groups, batch, this.#batches)),
      arrays: {
        data: own(device.array('u8', test.shape, test.images)),
        scale: own(device.array('f32', [scale.length], scale)),
        shift: own(device.array('f32', [shift.length], shift)),
        index: own(device.array('i32', batches, index)),
        labels: own(device.array('i32', batches, labels)),
        valid: own(device.array('f32', batches, valid)),
        correct: own(device.array('f32', [this.#batches, groups])),
      },
    }))
    this.#program = program
    this.#arrays = arrays
  }

  /** Accuracy of each network in per cent. */
  async measure(networks: NetworkArrays, signal?: AbortSignal): Promise<number[]> {
    // Replays are split so that other work of the device's queue never waits for the whole pass.
    const passes = 8
    for (let first = 0; first < this.#batches; first += passes) {
      await this.#program.run(
        { ...this.#arrays, ...programArrays(networks) },
        { n: Math.min(passes, this.#batches - first), startStep: first, ...(signal && { signal }) },
      )
    }
    const correct = (await this.#arrays.correct.read()) as Float32Array
    return Array.from({ length: this.#groups }, (_, g) => {
      let hits = 0
      for (let b = 0; b < this.#batches; b++) hits += correct[b * this.#groups + g]
      return (100 * hits) / this.#rows
    })
  }

  dispose(): void {
    for (const array of Object.values(this.#arrays)) array.dispose()
    this.#program.dispose()
  }
}

function forwardProgram(device: Device, network: Network, test: Dataset, groups: number, batch: number, batches: number): BoundProgram {
  const [, ...image] = test.shape
  const slots = { count: batches }
  return bindProgram(device, {
    inputs: {
      ...networkInputs(network, groups),
      data: { shape: test.shape, dtype: 'u8' },
      scale: { shape: [image[2]] },
      shift: { shape: [image[2]] },
      index: { shape: [batch], dtype: 'i32', slots },
      labels: { shape: [batch], dtype: 'i32', slots },
      valid: { shape: [batch], slots },
    },
    outputs: { correct: { slots } },
    build(v) {
      const x = reshape(imageGather(v.data, v.index, v.scale, v.shift), [1, batch, ...image])
      const { parameters, state } = networkValues(network, v)
      const shared = groups === 1 ? x : broadcast(x, [groups, batch, ...image])
      // Running statistics, not the batch's: an image's prediction must not depend on its neighbours.
      const { logits } = network.apply(parameters, shared, { mode: 'eval', state })
      const predicted = cast(argmax(logits), 'f32')
      const hits = equal(predicted, cast(v.labels, 'f32'))
      return { correct: sum(mul(hits, v.valid), { axes: [1] }) }
    },
  })
}
