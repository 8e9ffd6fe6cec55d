/** @file Trajectory matching through the loop: what it moves, what it counts, what it reads, and that a continued run has the same bits. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { distill } from '../../src/distill/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import type { Checkpoint, CheckpointStore, DistillOptions, StepEvent, SyntheticSet } from '../../src/experiment/types.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { type FakeExperts, fakeExperts } from '../fake-experts.js'
import { noiseDataset, noiseSide } from '../noise-dataset.js'

const network = convNet({ input: [noiseSide, noiseSide, 3], classes: 2, depth: 2, width: 8 })
const options = {
  innerSteps: 4,
  expertEpochs: 2,
  startEpoch: 3,
  maxStartEpoch: 3,
  expansionEnd: null,
  synBatch: null,
  mask: 'none',
  threshold: null,
}

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

type Given = Omit<Partial<DistillOptions<Device>>, 'methodOptions'> & {
  readonly methodOptions?: DistillOptions['methodOptions']
  readonly store?: FakeExperts
}

const start = ({ store, methodOptions, ...given }: Given = {}) =>
  distill(noiseDataset, {
    ...{ method: 'mtt', ipc: 3, iterations: 6, imageLr: 5, init: 'real', seed: 3, network, device },
    experts: fakeExperts(network, noiseDataset, store),
    ...given,
    methodOptions: { ...options, ...methodOptions },
  })

async function finish(given: Given = {}): Promise<{ set: SyntheticSet; steps: StepEvent[] }> {
  const run = start(given)
  const steps: StepEvent[] = []
  for await (const event of run) if (event.type === 'step') steps.push(event)
  return { set: await run.result, steps }
}

const numbers = (set: SyntheticSet) =>
  [set.images, set.labelLogits ?? null, set.learningRate ?? null].map((x) => (x instanceof Float32Array ? [...x] : x))

it('moves images and learning rate, and tells both', async () => {
  const { set, steps } = await finish({ methodOptions: { lrLr: 1e-3 } })
  expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6])
  for (const { loss, learningRate } of steps) {
    expect(loss).toBeGreaterThan(0)
    expect(learningRate).toBeGreaterThan(0)
  }
  expect(new Set(steps.map(({ learningRate }) => learningRate)).size).toBe(6)
  expect(set.learningRate).toBe(steps[5].learningRate)
  expect(set.labelLogits).toBeUndefined()
  const { set: before } = await finish({ iterations: 1, imageLr: 1e-30, methodOptions: { lrLr: 0 } })
  expect(before.learningRate).toBe(Math.fround(0.01))
  expect([...set.images]).not.toEqual([...before.images])
})

const variants: readonly [string, Given][] = [
  ['mtt', {}],
  ['short minibatches', { methodOptions: { synBatch: 4 } }],
  ['no augmentation', { augment: 'none' }],
  ['a mask by depth', { methodOptions: { mask: 'depth:0.3' } }],
  ['a mask by loss', { methodOptions: { mask: 'loss:0.3' } }],
  ['learned labels', { methodOptions: { labels: 'soft', labelLr: 3 } }],
  ["the target network's labels", { methodOptions: { labels: 'teacher', gradient: 'tesla' } }],
  ['an average of the images', { methodOptions: { emaDecay: 0.9 } }],
  ['a growing range of start epochs', { methodOptions: { startEpoch: 1, maxStartEpoch: 4, expansionEnd: 5 } }],
  ['from noise', { init: 'noise' }],
]

/** Keeps every checkpoint in memory. */
function memoryStore(): CheckpointStore & { readonly saved: Checkpoint[] } {
  const saved: Checkpoint[] = []
  return {
    saved,
    async save(checkpoint) {
      const tensors = Object.fromEntries(
        Object.entries(checkpoint.tensors).map(([name, tensor]) => [name, { ...tensor, data: tensor.data.slice() }]),
      )
      saved.push({ ...checkpoint, counters: { ...checkpoint.counters }, tensors })
    },
    load: async () => {
      const checkpoint = saved.at(-1)
      return checkpoint && { checkpoint, damaged: [] }
    },
  }
}

describe.each(variants)('%s', (_, given) => {
  it('continues to the bits of a run that nobody touched, at another number of threads', async () => {
    const whole = await finish(given)
    const checkpoints = memoryStore()
    await finish({ ...given, iterations: 4, checkpoints, checkpointEvery: 2 })
    const other = await Device.open({ threads: 3 })
    try {
      const rest = await finish({ ...given, checkpoints, device: other })
      expect(rest.steps.map(({ step, loss, learningRate }) => [step, loss, learningRate])).toEqual(
        whole.steps.slice(4).map(({ step, loss, learningRate }) => [step, loss, learningRate]),
      )
      expect(numbers(rest.set)).toEqual(numbers(whole.set))
      expect(rest.set.sourceIds).toEqual(whole.set.sourceIds)
    } finally {
      await other.close()
    }
  })
})
