/** @file Trains the network of one iteration on the synthetic images as they are: plain SGD, shuffled batches, augmented image by image. */
import { type AugmentPolicy, drawBatch, thetaSize } from '../augment/dsa.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import { type BoundProgram, bindProgram, type NamedOutput } from '../engine/bound-program.js'
import type { Plan } from '../engine/compile/program.js'
import { augment, gather, grad, greater, mul, reshape, softmaxCe, sum, type Value } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { fold, type Key, purpose } from '../engine/tensor/key.js'
import { permutation } from '../engine/tensor/philox.js'
import { Turn } from '../event-loop.js'
import type { Network } from '../nn/module.js'
import { sgdUpdate } from '../optim/sgd.js'
import { networkInputs, parametersAsOutputs, parametersOf, stateAsOutputs, stateOf } from './gradient-step.js'

/** Training steps whose batches are uploaded together. */
const chunkSlots = 32

export interface TrainingShape {
  readonly network: Network
  readonly classes: number
  readonly ipc: number
  /** Images of one step, at most classes x ipc. */
  readonly batch: number
  readonly lr: number
  readonly augment: AugmentPolicy
}

/** Draws of one upload, by the names of the step's inputs. */
interface Chunk {
  readonly index: Int32Array
  readonly labels: Int32Array
  readonly weights: Float32Array
  readonly theta?: Float32Array
}

/** Which epochs: those from `first` on of the network of `iteration`. */
export interface Epochs {
  readonly iteration: number
  readonly first: number
  readonly count: number
}

export class NetworkTraining {
  readonly #shape: TrainingShape
  readonly #key: Key
  readonly #step: BoundProgram
  readonly #draws: Record<'index' | 'labels' | 'weights', DeviceArray> & { readonly theta?: DeviceArray }

  constructor(device: Device, shape: TrainingShape, key: Key) {
    const { batch, augment: policy } = shape
    this.#shape = shape
    this.#key = key
    const made = allOrNothing((own) => ({
      step: own(trainingStep(device, shape)),
      draws: {
        index: own(device.array('i32', [chunkSlots, batch])),
        labels: own(device.array('i32', [chunkSlots, 1, batch])),
        weights: own(device.array('f32', [chunkSlots, 1, batch])),
        ...(policy.operations.length > 0 ? { theta: own(device.array('f32', [chunkSlots, batch, thetaSize])) } : {}),
      },
    }))
    this.#step = made.step
    this.#draws = made.draws
  }

  get plan(): Plan {
    return this.#step.plan
  }

  /** Trains the network in `arrays`, which also hold `images` [classes, ipc, H, W, C]. An abort ends it between two steps. */
  async train(arrays: Readonly<Record<string, DeviceArray>>, epochs: Epochs, signal?: AbortSignal): Promise<void> {
    const { classes, ipc, batch } = this.#shape
    const perEpoch = Math.ceil((classes * ipc) / batch)
    const total = epochs.count * perEpoch
    const turn = new Turn()
    let order = new Int32Array()
    for (let begin = 0; begin < total; begin += chunkSlots) {
      const n = Math.min(chunkSlots, total - begin)
      const chunk = this.#emptyChunk()
      for (let slot = 0; slot < n; slot++) {
        await turn.breathe()
        const epoch = epochs.first + Math.floor((begin + slot) / perEpoch)
        const place = (begin + slot) % perEpoch
        if (place === 0) order = this.#order(epochs.iteration, epoch)
        const rows = order.subarray(place * batch, (place + 1) * batch)
        this.#fill(chunk, slot, rows, { iteration: epochs.iteration, step: epoch * perEpoch + place })
      }
      // Uploads and run queue in this order; every one is awaited, so that none can fail unheard.
      const uploads = Object.entries(chunk).map(([name, data]) => this.#draws[name as keyof Chunk]?.write(data))
      await Promise.all([...uploads, this.#step.run({ ...arrays, ...this.#draws }, { n, ...(signal && { signal }) })])
    }
  }

  /** A new order of the synthetic images for every epoch of every network. */
  #order(iteration: number, epoch: number): Int32Array<ArrayBuffer> {
    const { classes, ipc } = this.#shape
    return Int32Array.from(permutation(fold(this.#key, 'inner-order', iteration), epoch, purpose.shuffle, classes * ipc))
  }

  #emptyChunk(): Chunk {
    const rows = chunkSlots * this.#shape.batch
    return {
      index: new Int32Array(rows),
      labels: new Int32Array(rows),
      weights: new Float32Array(rows),
      ...(this.#draws.theta ? { theta: new Float32Array(rows * thetaSize) } : {}),
    }
  }

  /** Writes one batch into its slot; places beyond a short batch keep weight 0. */
  #fill(chunk: Chunk, slot: number, rows: Int32Array, { iteration, step }: { iteration: number; step: number }): void {
    const { batch, ipc, augment: policy, network } = this.#shape
    const at = slot * batch
    chunk.index.set(rows, at)
    for (const [i, row] of rows.entries()) chunk.labels[at + i] = Math.floor(row / ipc)
    chunk.weights.fill(1 / rows.length, at, at + rows.length)
    if (!chunk.theta) return
    const address = { key: fold(this.#key, 'inner-augment', iteration), purpose: purpose.augment, step }
    chunk.theta.set(drawBatch(policy, address, rows.length, network.input[0], network.input[1]), at * thetaSize)
  }

  dispose(): void {
    for (const array of Object.values(this.#draws)) array.dispose()
    this.#step.dispose()
  }
}

/** One SGD step without momentum. The cross-entropy is a mean over the true rows: weights hold 1/count or 0. */
function trainingStep(device: Device, shape: TrainingShape): BoundProgram {
  const { network, classes, ipc, batch, augment: policy } = shape
  const slots = { count: chunkSlots }
  const carried = networkInputs(network)
  const augmented = policy.operations.length > 0
  return bindProgram<string, string>(device, {
    inputs: {
      ...carried,
      images: { shape: [classes, ipc, ...network.input] },
      index: { shape: [batch], dtype: 'i32', slots },
      labels: { shape: [1, batch], dtype: 'i32', slots },
      weights: { shape: [1, batch], slots },
      ...(augmented ? { theta: { shape: [batch, thetaSize], slots } } : {}),
    },
    outputs: Object.fromEntries(Object.keys(carried).map((name): [string, NamedOutput] => [name, { donate: name }])),
    build(v) {
      const drawn = gather(reshape(v.images, [classes * ipc, ...network.input]), v.index)
      return networkUpdate(shape, v, augmented ? augment(drawn, v.theta) : drawn)
    },
  })
}

/** The network after one step on images [batch, H, W, C]; `v` holds the network, `labels` and `weights`. */
export function networkUpdate(
  { network, classes, ipc, batch, lr }: Omit<TrainingShape, 'augment'>,
  v: Readonly<Record<string, Value>>,
  images: Value,
): Record<string, Value> {
  const parameters = parametersOf(network, v)
  const names = Object.keys(parameters)
  // Rows of weight 0 are padding: batch statistics leave them out too.
  const padding = (classes * ipc) % batch === 0 ? {} : { rowWeights: greater(v.weights, 0) }
  const x = reshape(images, [1, batch, ...network.input])
  const { logits, state } = network.apply(parameters, x, { mode: 'train', state: stateOf(network, v), ...padding })
  const loss = sum(mul(softmaxCe(logits, v.labels).loss, v.weights))
  const gradients = grad(
    loss,
    names.map((name) => parameters[name]),
  )
  const next = names.map((name, i) => [name, sgdUpdate(parameters[name], parameters[name], gradients[i], { lr }).parameter])
  return { ...parametersAsOutputs(Object.fromEntries(next)), ...stateAsOutputs(state) }
}
