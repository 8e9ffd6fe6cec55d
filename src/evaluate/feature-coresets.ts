/** @file Stronger baselines: real images chosen by their features under a network trained on all of them, by herding or as k-centers. */
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
import { rowSource } from '../preprocess/row-source.js'
import { herd } from '../scores/herding.js'
import { kCenterGreedy } from '../scores/k-center.js'
import type { Matrix } from '../scores/matrix.js'
import { trainOnReal } from './real-network.js'
import { checkClassSizes, realSet } from './real-set.js'
import { networkInputs, networkValues, programArrays, type Trainer } from './trainer.js'

/** How rows of one class are chosen from their features. */
const selections = {
  herding: (features: Matrix, ipc: number, device: Device): Promise<Int32Array> => herd(features, ipc, { device }),
  kCenter: async (features: Matrix, ipc: number, device: Device): Promise<Int32Array> =>
    (await kCenterGreedy(features, ipc, { device })).indices,
} as const

export type FeatureSelection = keyof typeof selections

export interface HerdingOptions {
  readonly device: Device
  /** Passes over the real images that the feature network is trained for, one more as in the protocol 'dc' (default 2). */
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
  return (await featureCoresets('herdingSet', data, ipc, ['herding'], options)).herding as SyntheticSet
}

/**
 * `ipc` real images of each class that cover it: each is the farthest from those before (greedy k-center), the first the nearest to the class
 * mean. Features and errors as in `herdingSet`.
 */
export async function kCenterSet(data: Dataset | DatasetInput, ipc: number, options: HerdingOptions): Promise<SyntheticSet> {
  return (await featureCoresets('kCenterSet', data, ipc, ['kCenter'], options)).kCenter as SyntheticSet
}

/** Several of these baselines from one network. */
export async function featureCoresets(
  what: string,
  data: Dataset | DatasetInput,
  ipc: number,
  names: readonly FeatureSelection[],
  options: HerdingOptions,
): Promise<Partial<Record<FeatureSelection, SyntheticSet>>> {
  checkOptions(what, options, { device: true, epochs: true, seed: true, signal: true, onProgress: true })
  const { device, epochs = 2, seed = 0, signal, onProgress } = options
  checkDevice(what, device)
  checkSignal(what, signal)
  checkCallback(`${what}: onProgress`, onProgress)
  wholeNumber('epochs', epochs)
  checkSeed('seed', seed)
  const train = asDataset(data)
  checkClassSizes(train, ipc)
  const key = fold(keyOf(seed), 'herding')
  const trainer = await trainOnReal(train, {
    network: 'convnet',
    device,
    epochs,
    key,
    ...(signal && { signal }),
    ...(onProgress && { onProgress }),
  })
  try {
    const rows = await chooseRows(device, trainer, train, ipc, names, signal)
    return Object.fromEntries(names.map((name) => [name, realSet(train, rows[name], { method: name, ipc, seed, epochs })]))
  } finally {
    trainer.dispose()
  }
}

/** Rows of one replay, and replays of one crossing. */
const batch = 64
const replays = 8

async function chooseRows(
  device: Device,
  trainer: Trainer,
  train: Dataset,
  ipc: number,
  names: readonly FeatureSelection[],
  signal: AbortSignal | undefined,
): Promise<Record<FeatureSelection, Int32Array>> {
  const { network } = trainer
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
    const chosen: Record<FeatureSelection, number[]> = { herding: [], kCenter: [] }
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
      for (const name of names) for (const i of await selections[name](table, ipc, device)) chosen[name].push(members[i])
    }
    return { herding: Int32Array.from(chosen.herding), kCenter: Int32Array.from(chosen.kCenter) }
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
