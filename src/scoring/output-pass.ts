/** @file What a network says of every image: logits, and where they are asked for the inputs of its last layer, some rows at a time. */
import type { Dataset } from '../data/dataset.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import { type BoundProgram, bindProgram } from '../engine/bound-program.js'
import type { Plan } from '../engine/compile/program.js'
import { reshape, square, sum } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { AludelError } from '../errors.js'
import { type NetworkArrays, networkInputs, networkValues, programArrays } from '../evaluate/trainer.js'
import type { Network } from '../nn/module.js'
import { rowSource } from '../preprocess/row-source.js'
import type { Matrix } from '../scores/matrix.js'

/** Rows of one replay, and replays of one crossing. */
const batch = 128
const replays = 8
export const rowsPerChunk = batch * replays

/** Rows [row, row + logits.shape[0]) of the data set. */
export interface OutputChunk {
  readonly row: number
  readonly logits: Matrix
  /** Squared norms of the last layer's inputs. */
  readonly squares?: Float32Array
  readonly features?: Matrix
}

export interface OutputWants {
  readonly squares: boolean
  readonly features: boolean
}

/** Outputs of all rows. */
export interface KeptOutputs {
  readonly features: Matrix
  readonly logits: Matrix
  take(chunk: OutputChunk): void
}

/** The program of one network over one data set; `rows` are the arrays of its `rowSource`, which stay the caller's. */
export class OutputPass {
  /** Numbers of one row of features. */
  readonly width: number
  readonly #program: BoundProgram
  readonly #own: Record<string, DeviceArray>
  readonly #rows: Readonly<Record<string, DeviceArray>>
  readonly #data: Dataset
  readonly #network: Network

  constructor(
    device: Device,
    { network, data, rows, wants }: { network: Network; data: Dataset; rows: Readonly<Record<string, DeviceArray>>; wants: OutputWants },
  ) {
    this.#network = network
    this.#data = data
    this.#rows = rows
    let width = 0
    const made = allOrNothing((own) => {
      const program = own(outputProgram(device, network, data, wants, (found) => (width = found)))
      const array = (columns: number) => own(device.array('f32', [replays, batch, columns]))
      return {
        program,
        own: {
          index: own(device.array('i32', [replays, batch])),
          logits: array(network.classes),
          ...(wants.squares && { squares: array(1) }),
          ...(wants.features && { features: array(width) }),
        },
      }
    })
    this.width = width
    this.#program = made.program
    this.#own = made.own
  }

  get plan(): Plan {
    return this.#program.plan
  }

  /** The outputs of all rows in order. An abort ends it between two replays. */
  async *over(networks: NetworkArrays, signal?: AbortSignal): AsyncGenerator<OutputChunk> {
    const [total] = this.#data.shape
    const arrays = { ...programArrays(networks), ...this.#rows, ...this.#own }
    for (let row = 0; row < total; row += rowsPerChunk) {
      const n = Math.min(rowsPerChunk, total - row)
      const index = Int32Array.from({ length: rowsPerChunk }, (_, i) => Math.min(row + i, total - 1))
      await Promise.all([this.#own.index.write(index), this.#program.run(arrays, { n: Math.ceil(n / batch), ...(signal && { signal }) })])
      const read = async (name: string, columns: number): Promise<Matrix> => {
        const data = (await this.#own[name].read()) as Float32Array
        return { data: data.subarray(0, n * columns), shape: [n, columns] }
      }
      yield {
        row,
        logits: await read('logits', this.#network.classes),
        ...(this.#own.squares && { squares: (await read('squares', 1)).data as Float32Array }),
        ...(this.#own.features && { features: await read('features', this.width) }),
      }
    }
  }

  /** A place for features and logits of all rows: the memory of both at once. Throws `out_of_memory`. */
  room(): KeptOutputs {
    const [rows] = this.#data.shape
    const [features, logits] = [matrixOf(rows, this.width), matrixOf(rows, this.#network.classes)]
    const take = (chunk: OutputChunk) => {
      if (chunk.features) features.data.set(chunk.features.data, chunk.row * features.shape[1])
      logits.data.set(chunk.logits.data, chunk.row * logits.shape[1])
    }
    return { features, logits, take }
  }

  /** Features and logits of all rows. */
  async all(networks: NetworkArrays, signal?: AbortSignal): Promise<KeptOutputs> {
    const kept = this.room()
    for await (const chunk of this.over(networks, signal)) kept.take(chunk)
    return kept
  }

  dispose(): void {
    for (const array of Object.values(this.#own)) array.dispose()
    this.#program.dispose()
  }
}

/** Zeros. Throws `out_of_memory` with the bytes. */
function matrixOf(rows: number, width: number): Matrix {
  try {
    return { data: new Float32Array(rows * width), shape: [rows, width] }
  } catch (cause) {
    const todo = 'leave out what is computed from features, or score a part of the data'
    throw new AludelError('out_of_memory', `features of ${rows} images need ${4 * rows * width} bytes; ${todo}`, { cause })
  }
}

function outputProgram(
  device: Device,
  network: Network,
  data: Dataset,
  wants: OutputWants,
  onWidth: (width: number) => void,
): BoundProgram {
  const source = rowSource(data)
  const slots = { count: replays }
  return bindProgram<string, string>(device, {
    inputs: { ...networkInputs(network, 1), ...source.inputs, index: { shape: [batch], dtype: 'i32', slots } },
    outputs: { logits: { slots }, ...(wants.squares && { squares: { slots } }), ...(wants.features && { features: { slots } }) },
    build(v) {
      const x = reshape(source.gather(v, v.index), [1, batch, ...network.input])
      const { parameters, state } = networkValues(network, v)
      // running statistics, not the batch's: what is said of an image must not depend on its neighbours
      const { logits, embedding } = network.apply(parameters, x, { mode: 'eval', state })
      const width = embedding.shape.slice(2).reduce((a, b) => a * b, 1)
      onWidth(width)
      const features = reshape(embedding, [batch, width])
      return {
        logits: reshape(logits, [batch, network.classes]),
        ...(wants.squares && { squares: reshape(sum(square(features), { axes: [1] }), [batch, 1]) }),
        ...(wants.features && { features }),
      }
    },
  })
}
