/** @file The network that scores: one that is trained epoch by epoch, or one that is given. */
import type { Dataset } from '../data/dataset.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import type { Plan } from '../engine/compile/program.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { fold, keyOf } from '../engine/tensor/key.js'
import { AludelError } from '../errors.js'
import { type NetworkArrays, Trainer } from '../evaluate/trainer.js'
import type { StateTensor } from '../experiment/types.js'
import type { NetworkTensors } from '../export/onnx/export-network.js'
import { rowSource } from '../preprocess/row-source.js'
import type { ScoringPlan } from './options.js'

export interface Subject {
  readonly networks: NetworkArrays
  /** The images on the device, by the names of their `rowSource`. */
  readonly rows: Readonly<Record<string, DeviceArray>>
  /** Of its training step. */
  readonly plan?: Plan
  /** Fresh parameters, or those after so many epochs. */
  start(epoch: number, from?: Readonly<Record<string, StateTensor>>): Promise<void>
  /** One epoch; `onImages` hears of the images trained on. Returns the loss of the last step, undefined where nothing is trained. */
  train(epoch: number, signal: AbortSignal | undefined, onImages: (images: number) => void): Promise<number | undefined>
  /** What `start` goes on from. */
  snapshot(): Promise<Record<string, StateTensor>>
  dispose(): void
}

const prefix = 'network:'

/** Network `run` of a plan. Images stay as they are: what trains on them and what scores them share one array. */
export const subjectOf = (device: Device, plan: ScoringPlan, train: Dataset, run: number): Subject =>
  plan.weights ? givenSubject(device, plan, train, plan.weights[run]) : trainedSubject(device, plan, train, run)

function trainedSubject(device: Device, plan: ScoringPlan, train: Dataset, run: number): Subject {
  const { network, networkName, policy, lr, seed } = plan
  const images = train.whitened?.pixels ?? train.images
  const key = fold(keyOf(seed), 'score', networkName)
  const trainer = new Trainer(device, { network, sets: [{ ...train, images }], groups: 1, augment: policy, key, firstNetwork: run })
  return {
    networks: trainer.networks,
    rows: trainer.rows,
    plan: trainer.plan,
    async start(epoch, from) {
      await trainer.initialize(device)
      trainer.goTo(epoch)
      await trainer.setLearningRate(lr)
      for (const [name, array] of from ? Object.entries(trainer.carried) : []) {
        const tensor = from?.[prefix + name]
        if (!tensor) throw new AludelError('incompatible', `checkpoint: expected a tensor '${prefix}${name}'; start the scoring anew`)
        await array.write(tensor.data)
      }
    },
    async train(epoch, signal, onImages) {
      const [rows] = train.shape
      const [loss] = await trainer.train(epoch, 1, signal, (steps) => onImages(Math.round((rows * steps) / trainer.stepsPerEpoch)))
      if (Number.isFinite(loss)) return loss
      const todo = 'lower the learning rate'
      throw new AludelError('not_finite', `the training loss of network ${run} is ${loss} in epoch ${epoch + 1}; ${todo}`)
    },
    async snapshot() {
      const entries = Object.entries(trainer.carried).map(
        async ([name, array]): Promise<[string, StateTensor]> => [
          prefix + name,
          { dtype: array.dtype, shape: array.shape, data: await array.read() },
        ],
      )
      return Object.fromEntries(await Promise.all(entries))
    },
    dispose: () => trainer.dispose(),
  }
}

function givenSubject(device: Device, { network }: ScoringPlan, train: Dataset, tensors: NetworkTensors): Subject {
  const { networks, rows, all } = allOrNothing((own) => {
    const owned: DeviceArray[] = []
    const keep = (array: DeviceArray) => {
      owned.push(own(array))
      return array
    }
    const arrays = (list: 'parameters' | 'state') =>
      Object.fromEntries(network[list].map(({ name, shape }) => [name, keep(device.array('f32', [1, ...shape], tensors[list][name]))]))
    return {
      networks: { parameters: arrays('parameters'), state: arrays('state') },
      rows: rowSource(train).arrays((...array) => keep(device.array(...array))),
      all: owned,
    }
  })
  return {
    networks,
    rows,
    start: async () => undefined,
    train: async () => undefined,
    snapshot: async () => ({}),
    dispose() {
      for (const array of all) array.dispose()
    },
  }
}
