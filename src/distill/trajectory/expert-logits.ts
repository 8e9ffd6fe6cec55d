/** @file What experts answer for real images: logits of some rows at a time, in eval mode, without augmentation. */
import type { Dataset } from '../../data/dataset.js'
import { allOrNothing } from '../../engine/all-or-nothing.js'
import { type BoundProgram, bindProgram } from '../../engine/bound-program.js'
import { reshape } from '../../engine/index.js'
import type { DeviceArray } from '../../engine/runtime/array.js'
import type { Device } from '../../engine/runtime/device.js'
import { sizeOf } from '../../engine/tensor/shape.js'
import { AbortError, AludelError, expected } from '../../errors.js'
import type { ExpertStore } from '../../experts/store.js'
import { flatToEngine } from '../../nn/flat-parameters.js'
import type { Network } from '../../nn/module.js'
import { networkRows } from '../../preprocess/row-source.js'
import { networkInputs, parameterKey, parametersOf } from '../gradient-step.js'

/** What is read of a store. */
export type ExpertCheckpoints = Pick<ExpertStore, 'dir' | 'record' | 'experts' | 'checkpoint'>

/** Owns a program and the parameters of one expert at a time; `dispose` frees them. */
export class ExpertLogits {
  readonly #network: Network
  readonly #dataset: Dataset
  readonly #store: ExpertCheckpoints
  readonly #batch: number
  readonly #program: BoundProgram
  readonly #arrays: Record<string, DeviceArray>
  #loaded: number | undefined

  /** `batch` rows at a time. Throws `invalid_option` for a network with running statistics: experts keep parameters only. */
  constructor(device: Device, dataset: Dataset, network: Network, store: ExpertCheckpoints, batch: number) {
    if (network.state.length > 0)
      throw expected('invalid_option', `network '${network.name}'`, 'one without running statistics, as experts are', 'batch norm')
    this.#network = network
    this.#dataset = dataset
    this.#store = store
    this.#batch = batch
    const images = [batch, ...network.input]
    const { program, arrays } = allOrNothing((own) => ({
      program: own(
        bindProgram<string, 'logits'>(device, {
          inputs: { ...networkInputs(network), images: { shape: images } },
          outputs: { logits: {} },
          build(v) {
            const { logits } = network.apply(parametersOf(network, v), reshape(v.images, [1, ...images]), { mode: 'eval' })
            return { logits: reshape(logits, [batch, network.classes]) }
          },
        }),
      ),
      arrays: {
        ...Object.fromEntries(
          network.parameters.map(({ name, shape }) => [parameterKey(name), own(device.array('f32', [1, ...shape]))] as const),
        ),
        images: own(device.array('f32', images)),
        logits: own(device.array('f32', [batch, network.classes])),
      },
    }))
    this.#program = program
    this.#arrays = arrays
  }

  /** Logits [rows, classes] of rows of the data set, after the last epoch of an expert. Throws AbortError, `not_finite`, and what reading it throws. */
  async of(expert: number, rows: Int32Array, signal?: AbortSignal): Promise<Float32Array> {
    await this.#load(expert, signal)
    const { classes, input } = this.#network
    const all = new Float32Array(rows.length * classes)
    const pixels = new Float32Array(this.#batch * sizeOf(input))
    for (let first = 0; first < rows.length; first += this.#batch) {
      const own = rows.subarray(first, first + this.#batch)
      pixels.fill(0)
      pixels.set(await networkRows(this.#dataset, own))
      await Promise.all([this.#arrays.images.write(pixels), this.#program.run(this.#arrays, signal && { signal })])
      const read = (await this.#arrays.logits.read()) as Float32Array
      all.set(read.subarray(0, own.length * classes), first * classes)
    }
    const bad = all.findIndex((z) => !Number.isFinite(z))
    if (bad < 0) return all
    const image = rows[Math.floor(bad / classes)]
    throw new AludelError('not_finite', `${this.#store.dir}: expert ${expert}: a logit of real image ${image} is ${all[bad]}`)
  }

  async #load(expert: number, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) throw new AbortError(signal.reason)
    if (this.#loaded === expert) return
    this.#loaded = undefined
    const tensors = flatToEngine(this.#network, await this.#store.checkpoint(expert, this.#store.record.epochs))
    await Promise.all(Object.entries(tensors).map(([name, data]) => this.#arrays[parameterKey(name)].write(data)))
    this.#loaded = expert
  }

  dispose(): void {
    for (const array of Object.values(this.#arrays)) array.dispose()
    this.#program.dispose()
  }
}
