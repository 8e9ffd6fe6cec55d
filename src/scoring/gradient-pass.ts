/** @file GraNd of every image: norms of its gradient in all parameters, a few images at a time, so that memory stays that of a few networks. */
import type { Dataset } from '../data/dataset.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import { type BoundProgram, bindProgram } from '../engine/bound-program.js'
import type { Plan } from '../engine/compile/program.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { type NetworkArrays, networkInputs, networkValues, programArrays } from '../evaluate/trainer.js'
import { type Network, parameterCount } from '../nn/module.js'
import { rowSource } from '../preprocess/row-source.js'
import { gradientNorms } from '../scores/grand.js'

/**
 * Samples of one replay: norms are made where gradients are, so that no gradients stand beside each other, but activations of networks that are not cut
 * into slices do. More samples do not make it faster.
 */
const numbersAtOnce = 2 ** 25
const leastSamples = 16
const mostSamples = 64
const replays = 16

/** `rows` are the arrays of the data set's `rowSource`, which stay the caller's. */
export class GradientPass {
  /** Rows of one crossing. */
  readonly rowsPerChunk: number
  readonly #batch: number
  readonly #program: BoundProgram
  readonly #own: { readonly index: DeviceArray; readonly labels: DeviceArray; readonly norms: DeviceArray }
  readonly #rows: Readonly<Record<string, DeviceArray>>
  readonly #data: Dataset

  constructor(device: Device, network: Network, data: Dataset, rows: Readonly<Record<string, DeviceArray>>) {
    this.#data = data
    this.#rows = rows
    // a function of the network alone: bits must not depend on the machine
    this.#batch = Math.max(leastSamples, Math.min(mostSamples, Math.floor(numbersAtOnce / parameterCount(network))))
    this.rowsPerChunk = this.#batch * replays
    const places = [replays, this.#batch]
    const made = allOrNothing((own) => ({
      program: own(normProgram(device, network, data, this.#batch)),
      own: {
        index: own(device.array('i32', places)),
        labels: own(device.array('i32', places)),
        norms: own(device.array('f32', places)),
      },
    }))
    this.#program = made.program
    this.#own = made.own
  }

  get plan(): Plan {
    return this.#program.plan
  }

  /** Norms of rows [row, row + n), as many as a chunk has or as are left. */
  async norms(networks: NetworkArrays, row: number, signal?: AbortSignal): Promise<Float32Array> {
    const total = this.#data.labels.length
    const n = Math.min(this.rowsPerChunk, total - row)
    const index = Int32Array.from({ length: this.rowsPerChunk }, (_, i) => Math.min(row + i, total - 1))
    await Promise.all([
      this.#own.index.write(index),
      this.#own.labels.write(index.map((at) => this.#data.labels[at])),
      this.#program.run(
        { ...programArrays(networks), ...this.#rows, ...this.#own },
        { n: Math.ceil(n / this.#batch), ...(signal && { signal }) },
      ),
    ])
    return ((await this.#own.norms.read()) as Float32Array).subarray(0, n)
  }

  dispose(): void {
    for (const array of Object.values(this.#own)) array.dispose()
    this.#program.dispose()
  }
}

function normProgram(device: Device, network: Network, data: Dataset, batch: number): BoundProgram {
  const source = rowSource(data)
  const slots = { count: replays }
  return bindProgram<string, string>(device, {
    inputs: {
      ...networkInputs(network, 1),
      ...source.inputs,
      index: { shape: [batch], dtype: 'i32', slots },
      labels: { shape: [batch], dtype: 'i32', slots },
    },
    outputs: { norms: { slots } },
    build(v) {
      const { parameters, state } = networkValues(network, v)
      const x = source.gather(v, v.index)
      return { norms: gradientNorms(network, parameters, x, v.labels, network.state.length > 0 ? state : undefined).norm }
    },
  })
}
