/** @file Trajectory matching on the GPU against the CPU: steps of an expert, and whole iterations, forward and back through every step of the student. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseAugment } from '../../src/augment/dsa.js'
import { distill } from '../../src/distill/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { keyOf } from '../../src/engine/tensor/key.js'
import { Trainer, type TrainerOptions } from '../../src/evaluate/trainer.js'
import type { Checkpoint, DistillOptions } from '../../src/experiment/types.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { networkPixels } from '../../src/preprocess/row-source.js'
import { fakeExperts } from '../fake-experts.js'
import { noiseDataset, noiseSide } from '../noise-dataset.js'

const network = convNet({ input: [noiseSide, noiseSide, 3], classes: 2, depth: 2, width: 8 })

let gpu: Device
let cpu: Device
beforeAll(async () => {
  gpu = await Device.open({ device: 'cuda', precision: 'f32' })
  cpu = await Device.open({ device: 'cpu', threads: 1 })
})
afterAll(() => Promise.all([gpu.close(), cpu.close()]))

type Tensors = Readonly<Record<string, ArrayLike<number>>>

const largest = (values: ArrayLike<number>): number => Array.from(values).reduce((most, v) => Math.max(most, Math.abs(v)), 0)

/** Every tensor within `tolerance` of its own largest number, or within a millionth of the largest of all where it is zero but for roundings. */
function expectClose(ours: Tensors, wanted: Tensors, tolerance: number): void {
  expect(Object.keys(ours)).toEqual(Object.keys(wanted))
  const whole = Math.max(...Object.values(wanted).map(largest))
  for (const [name, values] of Object.entries(wanted)) {
    const difference = largest(Array.from(values, (v, i) => v - ours[name][i]))
    expect(difference, name).toBeLessThanOrEqual(Math.max(tolerance * largest(values), 1e-6 * whole))
  }
}

describe('an expert', () => {
  const set = { ...noiseDataset, images: networkPixels(noiseDataset) }
  const options: Omit<TrainerOptions, 'groups'> = {
    ...{ network, sets: [set], augment: parseAugment('dsa', true), key: keyOf(5), firstNetwork: 0, countHits: true },
    rule: { batch: 24, momentum: 0, weightDecay: 0, lr: () => 0.05 },
  }

  /** Where the parameters are after an epoch of two steps, the second one of a short batch, less where they began. */
  async function moved(device: Device, given: Partial<TrainerOptions>) {
    const trainer = new Trainer(device, { ...options, groups: 1, ...given })
    const read = async () =>
      Promise.all(Object.entries(trainer.networks.parameters).map(async ([name, array]) => [name, Array.from(await array.read())] as const))
    try {
      await trainer.initialize(device)
      const before = Object.fromEntries(await read())
      const { losses, accuracies } = await trainer.trainEpoch(0)
      const parameters = Object.fromEntries((await read()).map(([name, after]) => [name, after.map((v, i) => v - before[name][i])]))
      return { losses, accuracies, parameters }
    } finally {
      trainer.dispose()
    }
  }

  describe.each([
    ['by gradient descent', {}],
    ['by GSAM', { gsam: { rho: 0.05, alpha: 0.3, adaptive: true } }],
    ['by plain GSAM, two on the group axis', { gsam: { rho: 0.05, alpha: 0.3, adaptive: false }, groups: 2 }],
    ['on some of the rows', { rowsOf: () => Int32Array.from({ length: 30 }, (_, i) => i + 4) }],
  ] as const)('%s', (_, given) => {
    it('goes where the one of the CPU goes', async () => {
      const [ours, theirs] = [await moved(gpu, given), await moved(cpu, given)]
      expect(largest(Object.values(theirs.parameters).flat())).toBeGreaterThan(1e-3)
      expectClose(ours.parameters, theirs.parameters, 1e-3)
      expectClose({ losses: ours.losses }, { losses: theirs.losses }, 1e-5)
      expect(ours.accuracies).toEqual(theirs.accuracies)
    })

    it('has the same bits twice', async () => {
      expect(await moved(gpu, given)).toEqual(await moved(gpu, given))
    })
  })
})

type Given = Omit<Partial<DistillOptions<Device>>, 'methodOptions'> & { readonly methodOptions?: DistillOptions['methodOptions'] }

const options = {
  innerSteps: 3,
  expertEpochs: 2,
  startEpoch: 3,
  maxStartEpoch: 3,
  expansionEnd: null,
  synBatch: 4,
  threshold: null,
  lrLr: 1e-6,
}

describe.each<[string, Given]>([
  ['mtt, short minibatches under augmentation', {}],
  ['mtt, no augmentation', { augment: 'none' }],
  ['learned labels', { methodOptions: { labels: 'soft', labelLr: 3 } }],
  ['a mask by depth', { methodOptions: { mask: 'depth:0.3' } }],
  ['learned labels and a mask by loss', { methodOptions: { labels: 'soft', labelLr: 3, mask: 'loss:0.3' } }],
  ["TESLA's gradient, the target network's labels", { methodOptions: { labels: 'teacher', gradient: 'tesla' } }],
  ['an average of the images behind a gate', { methodOptions: { emaDecay: 0.9, threshold: 100 } }],
])('matching: %s', (_, { methodOptions, ...given }) => {
  /** Two iterations: what each ended with, and the state after them, velocities included. */
  async function matched(device: Device) {
    const saved: Checkpoint[] = []
    const checkpoints = { save: async (checkpoint: Checkpoint) => void saved.push(checkpoint), load: async () => undefined }
    const run = distill(noiseDataset, {
      ...{ method: 'mtt', ipc: 3, iterations: 2, imageLr: 5, init: 'real', seed: 3, network, device, checkpoints, checkpointEvery: 1 },
      experts: fakeExperts(network, noiseDataset),
      ...given,
      methodOptions: { ...options, ...methodOptions },
    })
    const steps: { loss: number; learningRate: number | undefined; skipped: boolean | undefined }[] = []
    for await (const event of run)
      if (event.type === 'step') steps.push({ loss: event.loss, learningRate: event.learningRate, skipped: event.skipped })
    await run.result
    const tensors = Object.entries(saved.at(-1)?.tensors ?? {}).filter(([, { dtype }]) => dtype === 'f32')
    return { steps, state: Object.fromEntries(tensors.map(([name, { data }]) => [name, Array.from(data)])) }
  }

  it('takes the steps of the CPU', async () => {
    const [ours, theirs] = [await matched(gpu), await matched(cpu)]
    expect(theirs.steps.map(({ skipped }) => skipped)).toEqual([false, false])
    for (const name of ['loss', 'learningRate'] as const) {
      const of = ({ steps }: typeof ours) => ({ [name]: steps.map((step) => step[name] as number) })
      expectClose(of(ours), of(theirs), 1e-4)
    }
    for (const name of ['velocity', 'lrVelocity']) expect(largest(theirs.state[name])).toBeGreaterThan(0)
    // the scale of each is its own: a velocity is a sum of gradients
    for (const [name, values] of Object.entries(theirs.state)) expectClose({ [name]: ours.state[name] }, { [name]: values }, 1e-3)
  })

  it('has the same bits twice', async () => {
    expect(await matched(gpu)).toEqual(await matched(gpu))
  })
})
