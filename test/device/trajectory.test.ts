/** @file Trajectory matching through the loop: what it moves, what it counts, what it reads, and that a continued run has the same bits. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { thetaSize } from '../../src/augment/dsa.js'
import { distill } from '../../src/distill/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import type { Checkpoint, CheckpointStore, DistillOptions, StepEvent, SyntheticSet } from '../../src/experiment/types.js'
import { parameterCount } from '../../src/nn/module.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { planRun } from '../../src/plan/plan.js'
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

describe('the gate', () => {
  it('changes nothing above the threshold, and counts', async () => {
    const shut = await finish({ methodOptions: { threshold: 1e-6, lrLr: 1, emaDecay: 0.5 } })
    expect(shut.steps.map(({ skipped }) => skipped)).toEqual(new Array(6).fill(true))
    const still = await finish({ iterations: 1, methodOptions: { threshold: 1e-6 } })
    expect(numbers(shut.set)).toEqual(numbers(still.set))
    expect(shut.set.config).toMatchObject({ steps: 6, skips: 6 })
    const open = await finish({ methodOptions: { threshold: 1e6 } })
    expect(open.set.config).not.toHaveProperty('skips')
    expect(open.steps.map(({ skipped }) => skipped)).toEqual(new Array(6).fill(false))
  })

  it('keeps a learning rate that would become 0 or less, and counts', async () => {
    // so much that any gradient that would lower the rate takes it below 0, and none that raises it leads far
    const { set, steps } = await finish({ imageLr: 1e-20, methodOptions: { lrLr: 0.5, lrMomentum: 0 } })
    const guarded = steps.filter((event) => event.guarded)
    expect(guarded.length).toBeGreaterThan(0)
    for (const { learningRate } of steps) expect(learningRate).toBeGreaterThan(0)
    expect(set.config).toMatchObject({ guards: guarded.length })
  })
})

it('makes the set of the average of the images where there is one', async () => {
  const raw = await finish({ iterations: 1 })
  const averaged = await finish({ iterations: 1, methodOptions: { emaDecay: 0.75 } })
  const before = await finish({ iterations: 1, methodOptions: { threshold: 1e-6 } })
  const wanted = before.set.images.map((x, i) => x + 0.25 * (raw.set.images[i] - x))
  for (const [i, x] of averaged.set.images.entries()) expect(x).toBeCloseTo(wanted[i], 4)
})

it('reads every expert as often, and only epochs that the range allows', async () => {
  const store = fakeExperts(network, noiseDataset, { experts: 3 })
  await distill(noiseDataset, {
    ...{ method: 'mtt', ipc: 1, iterations: 9, seed: 1, network, device, experts: store },
    methodOptions: { ...options, minStartEpoch: 1, startEpoch: 2, maxStartEpoch: 4, expansionEnd: 6 },
  }).result
  const starts = store.reads.filter((_, i) => i % 2 === 0)
  expect(starts.map(([expert]) => expert).sort()).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2])
  expect(starts[0][1]).toBe(1)
  for (const [i, [expert, epoch]] of starts.entries()) {
    expect(epoch).toBeGreaterThanOrEqual(1)
    expect(epoch).toBeLessThan(4)
    expect(store.reads[2 * i + 1]).toEqual([expert, epoch + 2])
  }
})

describe('what is refused before anything is read', () => {
  const other = convNet({ input: [noiseSide, noiseSide, 3], classes: 2, depth: 1, width: 8 })
  it.each<[string, Given, string, RegExp]>([
    [
      'M = 0',
      { methodOptions: { expertEpochs: 0 } },
      'invalid_option',
      /epochs of the expert \(M\); steps on synthetic images \(N\) are innerSteps/,
    ],
    [
      'N = 0',
      { methodOptions: { innerSteps: 0 } },
      'invalid_option',
      /steps on synthetic images \(N\); epochs of the expert \(M\) are expertEpochs/,
    ],
    [
      'N and M confused',
      { methodOptions: { innerSteps: 2, expertEpochs: 30 } },
      'invalid_option',
      /maxStartEpoch \+ expertEpochs - 1 = 32.*M counts epochs of the expert/,
    ],
    [
      'T+ beyond what was trained',
      { methodOptions: { maxStartEpoch: 9 } },
      'invalid_option',
      /at most 6, the epochs that the experts in .* were trained for/,
    ],
    [
      'epochs that were not kept',
      { store: { kept: [0, 1, 2, 6] } },
      'invalid_option',
      /epochs 3-4, needed for .* one of those stored: 0-2, 6/,
    ],
    ['no start epoch', { methodOptions: { minStartEpoch: 3, startEpoch: 3 } }, 'invalid_option', /min < max/],
    ['a mask of everything', { methodOptions: { mask: 'depth:1' } }, 'invalid_option', /mask: expected 'none', 'depth:A' or 'loss:A'/],
    ['experts of another network', { store: { record: { network: 'resnet18' } } }, 'incompatible', /network/],
    [
      'experts of other data',
      { store: { record: { data: { name: 'x', split: 'train', sha256: '0', samples: 1 } } } },
      'incompatible',
      /data/,
    ],
    ['whitened experts', { store: { record: { zca: { order: 'raw', eps: 0.1, sha256: '0' } } } }, 'incompatible', /whitening/],
    ['a store without finished experts', { store: { experts: 0 } }, 'invalid_option', /none of its 0 experts is finished/],
    ['real batches', { realBatch: 4 }, 'invalid_option', /realBatch: mtt takes no real images in its steps/],
    ['dynamic pruning', { dynamic: {} }, 'invalid_option', /dynamic: mtt matches the training of experts/],
    ['groups of classes', { classGroup: 1 }, 'invalid_option', /classGroup: mtt trains one student/],
    ['parts of the classes', { shard: { index: 1, of: 2 } }, 'invalid_option', /shard: mtt trains one student/],
    [
      'soft labels of noise',
      { init: 'noise', methodOptions: { labels: 'soft', labelLr: 1 } },
      'invalid_option',
      /of noise they say nothing/,
    ],
    ['a rate of labels that are not learned', { methodOptions: { labelLr: 1 } }, 'invalid_option', /labels 'hard' are not learned/],
  ])('%s', async (_, given, code, message) => {
    const refused = async () => start(given).result
    await expect(refused()).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  it('no experts', () => {
    const run = () => distill(noiseDataset, { method: 'mtt', ipc: 1, device })
    const message = expect.stringMatching(/experts: mtt matches the training of experts, and none were given/)
    expect(run).toThrow(expect.objectContaining({ code: 'invalid_option', message }))
  })

  it('experts for a method that reads none', () => {
    const run = () => distill(noiseDataset, { method: 'dm', ipc: 1, device, experts: fakeExperts(other, noiseDataset) })
    expect(run).toThrow(expect.objectContaining({ code: 'invalid_option', message: expect.stringMatching(/experts: dm reads none/) }))
  })

  it("init 'predicted' without experts that predict", () => {
    const run = () => distill(noiseDataset, { method: 'dm', ipc: 1, device, init: 'predicted' })
    expect(run).toThrow(expect.objectContaining({ code: 'invalid_option', message: expect.stringMatching(/no experts that predict/) }))
  })
})

it('names expert and epochs where the loss has no scale', async () => {
  const still = { checkpoint: (parameters: Float32Array) => new Float32Array(parameters.length).fill(0.1) }
  await expect(start({ store: still }).result).rejects.toMatchObject({
    code: 'invalid_data',
    message: expect.stringMatching(/is the same after epochs/),
  })
})

it('plans the memory of one step and N + 1 copies of the parameters: nothing else grows with N', async () => {
  const plan = async (innerSteps: number) => {
    const settings = { method: 'mtt', ipc: 3, network, methodOptions: { ...options, innerSteps } }
    const { phases, config, largest } = await planRun(noiseDataset, { ...settings, device })
    expect([config.realBatch, largest.realBatch]).toEqual([0, null])
    return phases[0].bytes
  }
  const [few, many] = [await plan(10), await plan(80)]
  const rows = 6 * (4 + 4 * thetaSize)
  expect(many.arrays - few.arrays).toBe(70 * (4 * parameterCount(network) + rows))
  expect([many.workspace, many.constants]).toEqual([few.workspace, few.constants])
})

it('halves the rates of labels and of the learning rate with that of the images where it goes back', async () => {
  const methodOptions = { ...options, labels: 'soft', labelLr: 2, lrLr: 1e-3 }
  const told: unknown[] = []
  const run = start({ imageLr: 1e38, onDivergence: 'rollback', methodOptions })
  const failed = expect(run.result).rejects.toMatchObject({ code: 'not_finite' })
  try {
    for await (const event of run) if (event.type === 'rollback') told.push([event.imageLr / 1e38, event.rates])
  } catch {
    // told by the result
  }
  await failed
  expect(told).toEqual([1, 2, 3].map((n) => [0.5 ** n, { labelLr: 2 * 0.5 ** n, lrLr: 1e-3 * 0.5 ** n }]))
})
