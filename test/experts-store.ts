/** @file A small store of experts, written the way training writes one: for tests of what reads stores. */
import { mkdir } from 'node:fs/promises'
import type { Dataset } from '../src/data/dataset.js'
import { ExpertWriter } from '../src/experts/expert-writer.js'
import { type ExpertsRecord, writeRecord } from '../src/experts/record.js'
import { keptEpochs } from '../src/experts/store.js'
import type { MapShape } from '../src/nn/module.js'
import { parameterCount } from '../src/nn/module.js'
import { networkByName } from '../src/nn/networks/registry.js'
import { noiseDataset } from './noise-dataset.js'

export interface StoreOptions {
  readonly data?: Dataset
  readonly network?: string
  readonly epochs?: number
  readonly keep?: { readonly from: number; readonly to: number }
  readonly experts?: number
  /** Numbers of the experts that are finished; default all. */
  readonly finished?: readonly number[]
  /** Parameters of an expert after an epoch; default numbers of which no two checkpoints have the same. */
  readonly checkpoint?: (expert: number, epoch: number, parameters: number) => Float32Array
}

const numbers = (expert: number, epoch: number, parameters: number): Float32Array =>
  Float32Array.from({ length: parameters }, (_, i) => Math.sin(i + 1) * 0.1 + expert + epoch / 100)

export function storeRecord({ data = noiseDataset, network = 'convnet', epochs = 3, keep, experts = 2 }: StoreOptions = {}): ExpertsRecord {
  const { name, split, sha256, shape, classes, mean, std, part, whitened } = data
  const image = shape.slice(1) as unknown as MapShape
  return {
    ...{ format: 'aludel-experts', version: 1, network, image, classes: [...classes] },
    data: { name, split, sha256, samples: shape[0] },
    ...{ mean: [...mean], std: [...std] },
    ...(part && { subsetSha256: part.subset }),
    ...(whitened && { zca: { order: whitened.whitening.order, eps: whitened.whitening.eps, sha256: whitened.whitening.sha256 } }),
    parameters: parameterCount(networkByName(network, image, classes.length)),
    ...{ epochs, kept: keptEpochs('keep', epochs, keep), experts },
    config: { optimizer: 'sgd', lr: 0.01, momentum: 0, weightDecay: 0, batch: 256, augment: 'dsa', seed: 0 },
    schedule: { name: 'none' },
    arithmetic: { isa: 'avx2' },
    specification: null,
  }
}

/** Writes a store into `dir`, which is made. */
export async function writeStore(dir: string, options: StoreOptions = {}): Promise<ExpertsRecord> {
  const record = storeRecord(options)
  const { experts = 2, finished = Array.from({ length: experts }, (_, i) => i), checkpoint = numbers } = options
  await mkdir(dir, { recursive: true })
  await writeRecord(dir, record)
  for (const expert of finished) {
    const writer = new ExpertWriter(dir, record, expert)
    for (let epoch = 0; epoch <= record.epochs; epoch++) await writer.add(epoch, checkpoint(expert, epoch, record.parameters))
    const curve = (first: number) => Array.from({ length: record.epochs }, (_, i) => first / (i + 1))
    await writer.finish({ losses: curve(2), accuracies: curve(50) })
  }
  return record
}
