/** @file The stronger baseline: real images chosen by herding on the features of a network trained on all of them. */
import { checkCallback, checkDevice, checkOptions, checkSeed, checkSignal, wholeNumber } from '../arguments.js'
import { asDataset, type Dataset, type DatasetInput } from '../data/dataset.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import { type BoundProgram, bindProgram } from '../engine/bound-program.js'
import { reshape } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { fold, keyOf } from '../engine/tensor/key.js'
import type { EvaluationProgress, SyntheticSet } from '../experiment/types.js'
import type { Network } from '../nn/module.js'
import { resolveNetwork } from '../nn/networks/registry.js'
import { rowSource } from '../preprocess/row-source.js'
import { herd } from '../scores/herding.js'
import { checkClassSizes, realSet } from './real-set.js'
import { trainAll } from './train-all.js'
import { networkInputs, networkValues, programArrays, Trainer } from './trainer.js'

export interface HerdingOptions {
  readonly device: Device
  /** Passes over the real images that the feature network is trained for, one more as in the protocol (default 2). */
  readonly epochs?: number
  readonly seed?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: EvaluationProgress) => void
}

/**
 * `ipc` real images of each class whose mean feature follows the class mean (herding, residual rule). Features are the embedding of one
 * ConvNet trained on `train` without augmentation: SGD lr 0.01, momentum 0.9, weight decay 5e-4, batches of 256.
 * Throws `invalid_option` when a class has fewer images.
 */
export async function herdingSet(data: Dataset | DatasetInput, ipc: number, options: HerdingOptions): Promise<SyntheticSet> {
  checkOptions('herdingSet', options, { device: true, epochs: true, seed: true, signal: true, onProgress: true })
  const { device, epochs = 2, seed = 0, signal, onProgress } = options
  checkDevice('herdingSet', device)
  checkSignal('herdingSet', signal)
  checkCallback('herdingSet: onProgress', onProgress)
  wholeNumber('epochs', epochs)
  checkSeed('seed', seed)
  const train = asDataset(data)
  checkClassSizes(train, ipc)
  const name = 'convnet'
  const network = resolveNetwork(name, train.shape.slice(1) as [number, number, number], train.classes.length)
  const key = fold(keyOf(seed), 'herding')
  const trainer = new Trainer(device, { network, sets: [trainingSet(train)], groups: 1, augment: { operations: [] }, key, firstNetwork: 0 })
  try {
    await trainer.initialize(device)
    await trainAll(trainer, epochs, signal, (epoch, loss) => onProgress?.({ network: name, epoch, epochs: epochs + 1, loss }))
    const rows = await chooseRows(device, network, trainer, train, ipc, signal)
    return realSet(train, rows, { method: 'herding', ipc, seed, epochs })
  } finally {
    trainer.dispose()
  }
}

/** What networks train on: whitened pixels where there are some, else bytes. */
const trainingSet = (train: Dataset) => (train.whitened ? { ...train, images: train.whitened.pixels } : train)

/** Rows of one replay, and replays of one crossing. */
const batch = 64
const replays = 8

async function chooseRows(
  device: Device,
  network: Network,
  trainer: Trainer,
  train: Dataset,
  ipc: number,
  signal: AbortSignal | undefined,
): Promise<Int32Array> {
  const program = embeddingProgram(device, network, train)
  let owned: DeviceArray[] = []
  try {
    const { index, embedding, data } = allOrNothing((own) => ({
      data: rowSource(train).arrays((...array) => own(device.array(...array))),
      index: own(device.array('i32', [replays, batch])),
      embedding: own(device.array('f32', [replays, batch, program.width])),
    }))
    owned = [...Object.values(data), index, embedding]
    const arrays = { ...programArrays(trainer.networks), ...data, index, embedding }
    const chosen: number[] = []
    for (const c of train.classes.keys()) {
      const members = train.classIndices(c)
      const features = new Float32Array(members.length * program.width)
      for (let from = 0; from < members.length; from += replays * batch) {
        const part = members.subarray(from, from + replays * batch)
        const padded = new Int32Array(replays * batch).fill(part[0])
        padded.set(part)
        const n = Math.ceil(part.length / batch)
        await Promise.all([index.write(padded), program.bound.run(arrays, { n, ...(signal && { signal }) })])
        const read = (await embedding.read()) as Float32Array
        features.set(read.subarray(0, part.length * program.width), from * program.width)
      }
      const table = { data: features, shape: [members.length, program.width] as const }
      for (const i of await herd(table, ipc, { device })) chosen.push(members[i])
    }
    return Int32Array.from(chosen)
  } finally {
    for (const array of owned) array.dispose()
    program.bound.dispose()
  }
}

function embeddingProgram(device: Device, network: Network, train: Dataset): { bound: BoundProgram; width: number } {
  const source = rowSource(train)
  const image = network.input
  let width = 0
  const slots = { count: replays }
  const bound = bindProgram(device, {
    inputs: {
      ...networkInputs(network, 1),
      ...source.inputs,
      index: { shape: [batch], dtype: 'i32', slots },
    },
    outputs: { embedding: { slots } },
    build(v) {
      const x = reshape(source.gather(v, v.index), [1, batch, ...image])
      const { parameters, state } = networkValues(network, v)
      const { embedding } = network.apply(parameters, x, { mode: 'eval', state })
      width = embedding.shape.slice(2).reduce((a, b) => a * b, 1)
      return { embedding: reshape(embedding, [batch, width]) }
    },
  })
  return { bound, width }
}
