/** @file The networks of a pretraining on the device, and their steps: draws go up chunk by chunk, losses come back. */

import type { Dataset } from '../data/dataset.js'
import { scaleShift } from '../data/normalize.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import { bindProgram } from '../engine/bound-program.js'
import type { Plan } from '../engine/compile/program.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { fold, type Key, keyOf, purpose } from '../engine/tensor/key.js'
import { permuting } from '../engine/tensor/philox.js'
import { sizeOf } from '../engine/tensor/shape.js'
import { inTurns, Turn } from '../event-loop.js'
import type { StateTensor } from '../experiment/types.js'
import type { NetworkTensors } from '../export/onnx/export-network.js'
import { initialize, type Network } from '../nn/module.js'
import { targetShare } from './objectives/byol.js'
import { learningRate, lossNumbers } from './recipes.js'
import type { PretrainPlan } from './settings.js'
import { carriedTensors, chunkSlots, partsOf, pretrainStep, tensorKey } from './step.js'
import { drawView, viewSize } from './view-draws.js'

/** What the steps of a chunk gave. */
export interface ChunkResult {
  readonly losses: readonly number[]
  readonly spreads: readonly number[]
}

/** Owns the device arrays and the program; `dispose` frees them. */
export class PretrainTrainer {
  readonly plan: PretrainPlan
  readonly #device: Device
  readonly #key: Key
  readonly #samples: number
  readonly #carried: Readonly<Record<string, DeviceArray>>
  readonly #arrays: Readonly<Record<string, DeviceArray>>
  readonly #program: ReturnType<typeof pretrainStep>
  #order: { readonly epoch: number; readonly rows: Int32Array } | undefined

  constructor(device: Device, plan: PretrainPlan, train: Dataset) {
    this.plan = plan
    this.#device = device
    this.#samples = train.shape[0]
    this.#key = fold(keyOf(plan.seed), 'pretrain', plan.record.network)
    const { batch } = plan
    const channels = train.shape[3]
    const unit = scaleShift({ mean: Array<number>(channels).fill(0), std: Array<number>(channels).fill(1) })
    const made = allOrNothing((own) => ({
      program: own(pretrainStep(device, plan, train.shape[0])),
      carried: Object.fromEntries(
        Object.entries(carriedTensors(partsOf(plan))).map(([name, shape]) => [name, own(device.array('f32', [1, ...shape]))]),
      ),
      arrays: {
        images: own(device.array('u8', train.shape, train.images)),
        scale: own(device.array('f32', [channels], unit.scale)),
        shift: own(device.array('f32', [channels], unit.shift)),
        index: own(device.array('i32', [chunkSlots, batch])),
        views: own(device.array('f32', [chunkSlots, 2, batch, viewSize])),
        lr: own(device.array('f32', [chunkSlots])),
        ...(plan.objective === 'byol' ? { share: own(device.array('f32', [chunkSlots])) } : {}),
        loss: own(device.array('f32', [chunkSlots])),
        spread: own(device.array('f32', [chunkSlots])),
      },
    }))
    this.#program = made.program
    this.#carried = made.carried
    this.#arrays = made.arrays
  }

  get stepPlan(): Plan {
    return this.#program.plan
  }

  get steps(): number {
    return this.plan.epochs * this.plan.stepsPerEpoch
  }

  /** Draws the networks; those that follow begin as copies. */
  async initialize(): Promise<void> {
    const { online, target } = partsOf(this.plan)
    for (const [part, network] of Object.entries(online)) await this.#draw(part, network)
    for (const [part, network] of Object.entries(target))
      for (const { name } of network.parameters)
        await this.#carried[tensorKey('target', part, name)].write(await this.#carried[tensorKey('parameter', part, name)].read())
    for (const [kind, parts] of [
      ['state', online],
      ['target-state', target],
    ] as const)
      for (const [part, network] of Object.entries(parts))
        for (const { name, shape, initial } of network.state)
          await this.#carried[tensorKey(kind, part, name)].write(new Float32Array(sizeOf(shape)).fill(initial))
  }

  async #draw(part: string, network: Network): Promise<void> {
    const names = network.parameters.map(({ name }) => name)
    const { program, key } = allOrNothing((own) => ({
      program: own(
        bindProgram<string, string, string>(this.#device, {
          inputs: { key: { shape: [2], dtype: 'u32' } },
          outputs: Object.fromEntries(names.map((name) => [name, {}])),
          step: 'counter',
          build: (v) => initialize(network, { key: v.key, counter: v.counter }),
        }),
      ),
      key: own(this.#device.array('u32', [2], Uint32Array.from(fold(this.#key, 'parameters', part)))),
    }))
    try {
      await program.run({ key, ...Object.fromEntries(names.map((name) => [name, this.#carried[tensorKey('parameter', part, name)]])) })
    } finally {
      key.dispose()
      program.dispose()
    }
  }

  /** Runs steps [first, first + count), at most `chunkSlots` of them. */
  async run(first: number, count: number): Promise<ChunkResult> {
    const { batch, stepsPerEpoch, rate, record, views: policies } = this.plan
    const [height, width] = record.image
    const index = new Int32Array(chunkSlots * batch)
    const views = new Float32Array(chunkSlots * 2 * batch * viewSize)
    const [lr, share] = [new Float32Array(chunkSlots), new Float32Array(chunkSlots)]
    const turn = new Turn()
    for (let step = first; step < first + count; step++) {
      const slot = step % chunkSlots
      const rows = await this.#rowsOf(Math.floor(step / stepsPerEpoch), turn)
      const begin = (step % stepsPerEpoch) * batch
      index.set(rows.subarray(begin, begin + batch), slot * batch)
      for (const [k, policy] of policies.entries()) {
        const address = { key: fold(this.#key, 'view', k), purpose: purpose.augment, step }
        for (let i = 0; i < batch; i++) {
          drawView(policy, address, i, [height, width], views, ((slot * 2 + k) * batch + i) * viewSize)
          if (i % 32 === 31) await turn.breathe()
        }
      }
      lr[slot] = learningRate(step, this.steps, rate)
      share[slot] = targetShare(lossNumbers.byol.tau, step, this.steps)
    }
    const uploads = { index, views, lr, ...(this.#arrays.share ? { share } : {}) }
    // Uploads and run queue in this order; every one is awaited, so that none can fail unheard.
    await Promise.all([
      ...Object.entries(uploads).map(([name, data]) => this.#arrays[name].write(data)),
      this.#program.run({ ...this.#carried, ...this.#arrays }, { n: count, startStep: first }),
    ])
    const [losses, spreads] = (await Promise.all([this.#arrays.loss.read(), this.#arrays.spread.read()])) as Float32Array[]
    const of = (values: Float32Array) => Array.from({ length: count }, (_, i) => values[(first + i) % chunkSlots])
    return { losses: of(losses), spreads: of(spreads) }
  }

  async #rowsOf(epoch: number, turn: Turn): Promise<Int32Array> {
    if (this.#order?.epoch !== epoch)
      this.#order = { epoch, rows: await inTurns(permuting(fold(this.#key, 'order'), epoch, purpose.shuffle, this.#samples), turn) }
    return this.#order.rows
  }

  /** All that the next step depends on beside its draws. */
  async carried(): Promise<Record<string, StateTensor>> {
    const entries = Object.entries(this.#carried).map(
      async ([name, array]): Promise<[string, StateTensor]> => [name, { dtype: array.dtype, shape: array.shape, data: await array.read() }],
    )
    return Object.fromEntries(await Promise.all(entries))
  }

  async restore(tensors: Readonly<Record<string, StateTensor>>): Promise<void> {
    for (const [name, array] of Object.entries(this.#carried)) await array.write(tensors[name].data)
  }

  /** The backbone as it is now, without the group axis. */
  async backbone(): Promise<NetworkTensors> {
    const { network } = this.plan.backbone
    const read = async (kind: 'parameter' | 'state', specs: readonly { readonly name: string }[]) =>
      Object.fromEntries(
        await Promise.all(
          specs.map(async ({ name }) => [name, (await this.#carried[tensorKey(kind, 'backbone', name)].read()) as Float32Array] as const),
        ),
      )
    return { parameters: await read('parameter', network.parameters), state: await read('state', network.state) }
  }

  dispose(): void {
    for (const array of [...Object.values(this.#carried), ...Object.values(this.#arrays)]) array.dispose()
    this.#program.dispose()
  }
}
