/** @file A store of experts in memory: parameters that walk at random, epoch by epoch. Enough where only the arithmetic around them counts. */
import type { Dataset } from '../src/data/dataset.js'
import { fold, keyOf } from '../src/engine/tensor/key.js'
import { normal } from '../src/engine/tensor/philox.js'
import type { ExpertStore, ExpertsRecord } from '../src/experts/index.js'
import { type Network, parameterCount } from '../src/nn/module.js'

export interface FakeExperts {
  readonly experts?: number
  readonly epochs?: number
  readonly kept?: readonly number[]
  readonly record?: Partial<ExpertsRecord>
  /** Changes what is read. */
  readonly checkpoint?: (parameters: Float32Array, expert: number, epoch: number) => Float32Array
}

/** Reads made, in order, as [expert, epoch]. */
export type FakeStore = ExpertStore & { readonly reads: (readonly [number, number])[] }

export function fakeExperts(network: Network, data: Dataset, options: FakeExperts = {}): FakeStore {
  const { experts = 2, epochs = 6, checkpoint = (parameters) => parameters } = options
  const kept = options.kept ?? Array.from({ length: epochs + 1 }, (_, e) => e)
  const parameters = parameterCount(network)
  const reads: (readonly [number, number])[] = []
  const whitening = data.whitened?.whitening
  const record: ExpertsRecord = {
    ...{ format: 'aludel-experts', version: 1, network: network.name, image: network.input, classes: data.classes },
    data: { name: data.name, split: data.split, sha256: data.sha256, samples: data.shape[0] },
    ...{ mean: data.mean, std: data.std, parameters, epochs, kept, experts, config: {}, schedule: { name: 'none' }, arithmetic: {} },
    ...(whitening && { zca: { order: whitening.order, eps: whitening.eps, sha256: whitening.sha256 } }),
    specification: null,
    ...options.record,
  }
  return {
    dir: 'experts/fake',
    record,
    sha256: 'f'.repeat(64),
    experts: Array.from({ length: experts }, (_, i) => i),
    reads,
    expert: () => {
      throw new Error('no record of an expert is read')
    },
    async checkpoint(expert, epoch) {
      reads.push([expert, epoch])
      const walk = new Float32Array(parameters)
      for (let e = 0; e <= epoch; e++) {
        const step = normal(fold(keyOf(1), expert, e), 0, 20, parameters)
        for (let i = 0; i < parameters; i++) walk[i] += (e === 0 ? 0.2 : 0.03) * step[i]
      }
      return checkpoint(walk, expert, epoch)
    },
  }
}
