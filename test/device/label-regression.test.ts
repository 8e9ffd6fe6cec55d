/** @file KIP, RFAD and FRePo through the loop: what they learn, what they keep, what they refuse, and that a continued run has the same bits. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDataset } from '../../src/data/dataset.js'
import { distill, kernelAccuracy } from '../../src/distill/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import type { DistillOptions, StepEvent, SyntheticSet } from '../../src/experiment/types.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { planRun } from '../../src/plan/plan.js'
import { memoryStore } from '../method/contract.js'
import { noiseDataset, noiseSide } from '../noise-dataset.js'

const plain = convNet({ input: [noiseSide, noiseSide, 3], classes: 2, depth: 2, width: 8, norm: 'none' })

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

type Given = Partial<DistillOptions<Device>>

async function finish({ stopAt, ...given }: Given & { readonly stopAt?: number } = {}): Promise<{ set: SyntheticSet; steps: StepEvent[] }> {
  const run = distill(noiseDataset, { ...{ method: 'kip', ipc: 2, iterations: 8, realBatch: 12, seed: 3, device }, ...given })
  const steps: StepEvent[] = []
  for await (const event of run) {
    if (event.type !== 'step') continue
    steps.push(event)
    if (event.step === stopAt) run.stop()
  }
  return { set: await run.result, steps }
}

const random = { method: 'rfad', network: plain }
const pool = { method: 'frepo', network: convNet({ input: [noiseSide, noiseSide, 3], classes: 2, depth: 2, width: 8, norm: 'batch' }) }
const variants: readonly [string, Given][] = [
  ['kip', {}],
  ['kip with learned labels', { methodOptions: { labels: 'learned' } }],
  ['kip under the NNGP kernel of a deeper network', { methodOptions: { kernel: 'nngp', depth: 3 } }],
  ['kip from noise', { init: 'noise' }],
  ["kip by Platt's loss", { methodOptions: { loss: 'platt-ce' } }],
  ['frepo', { ...pool, imageLr: 0.01, methodOptions: { poolModels: 3, poolSteps: 4, networkLr: 0.01 } }],
  [
    'frepo with fixed labels, not mirrored',
    { ...pool, imageLr: 0.01, methodOptions: { poolModels: 2, poolSteps: 2, labels: 'fixed', mirrored: 'off' } },
  ],
  ['rfad', random],
  ['rfad without its matrix', { ...random, methodOptions: { transformLr: 0 } }],
  ['rfad by squared errors with fixed labels', { ...random, methodOptions: { loss: 'half-mse', labels: 'fixed', networks: 3 } }],
]

const numbers = ({ images, targets }: SyntheticSet) => [[...images], targets && [...targets]]

it('is measured by the kernel that it was distilled under', async () => {
  const first = await finish({ iterations: 1, realBatch: 1000 })
  const { set } = await finish({ iterations: 120, realBatch: 1000 })
  const [before, after] = [
    await kernelAccuracy(first.set, { device, test: noiseDataset }),
    await kernelAccuracy(set, { device, test: noiseDataset }),
  ]
  expect(after.loss).toBeLessThan(before.loss)
  expect(after.accuracy).toBeGreaterThan(60)
  const other = { ...noiseDataset, classes: ['a', 'c'] }
  await expect(kernelAccuracy(set, { device, test: other })).rejects.toMatchObject({ code: 'invalid_data' })
  await expect(kernelAccuracy(set, { device, test: noiseDataset, depth: 0 })).rejects.toMatchObject({ code: 'invalid_option' })
})

describe.each(variants)('%s', (_, given) => {
  it('learns, and keeps labels where they are learned', async () => {
    const { set, steps } = await finish({ ...given, iterations: 60, realBatch: 1000 })
    expect(steps[59].loss).toBeLessThan(steps[0].loss)
    const { ridge, condition, residual, tries, imageDrift, targetDrift } = steps[59].regression!
    expect([ridge > 0, condition > 1, residual < 1e-4, tries, imageDrift > 0]).toEqual([true, true, true, 0, true])
    expect(targetDrift > 0).toBe((set.targets?.length ?? 0) > 0)
    const learned = (given.methodOptions?.labels ?? (given.method === undefined ? 'fixed' : 'learned')) === 'learned'
    expect(set.targets?.length).toBe(learned ? 8 : undefined)
    if (learned) expect([...(set.targets as Float32Array)]).not.toEqual([0.5, -0.5, 0.5, -0.5, -0.5, 0.5, -0.5, 0.5])
  })

  it('continues to the bits of a run that nobody touched, at another number of threads', async () => {
    const whole = await finish(given)
    const checkpoints = memoryStore()
    // stopped, not shorter: a schedule of the rate ends with the iterations
    await finish({ ...given, stopAt: 3, checkpoints, checkpointEvery: 1 })
    const { step: reached } = checkpoints.saved.at(-1)!.counters
    expect(reached).toBeLessThan(8)
    const other = await Device.open({ threads: 3 })
    try {
      const rest = await finish({ ...given, checkpoints, device: other })
      expect(rest.steps.map(({ step, loss }) => [step, loss])).toEqual(whole.steps.slice(reached).map(({ step, loss }) => [step, loss]))
      expect(numbers(rest.set)).toEqual(numbers(whole.set))
    } finally {
      await other.close()
    }
  })
})

it('gives the images of rfad times its matrix, which moves at a rate of its own', async () => {
  const checkpoints = memoryStore()
  const { set, steps } = await finish({ ...random, checkpoints, checkpointEvery: 8 })
  const { images, transform } = checkpoints.saved.at(-1)!.tensors
  const d = noiseSide ** 2 * 3
  const [x, t] = [images.data, transform.data].map((data) => Float64Array.from(data))
  for (let row = 0; row < 4; row++)
    for (let j = 0; j < d; j += 7) {
      let product = 0
      for (let i = 0; i < d; i++) product += x[row * d + i] * t[i * d + j]
      expect(set.images[row * d + j]).toBeCloseTo(product, 4)
    }
  const moved = Math.max(...t.map((value, at) => Math.abs(value - Number(at % (d + 1) === 0))))
  expect(moved).toBeGreaterThan(5e-5)
  expect(moved).toBeLessThan(8 * 5e-5 * 2)
  expect(steps[7].regression!.imageDrift).toBeGreaterThan(0)
  const without = await finish({ ...random, methodOptions: { transformLr: 0 }, checkpoints: memoryStore() })
  expect([...without.set.images]).not.toEqual([...set.images])
})

it.each<[string, Given, RegExp]>([
  ['an augmentation', { augment: 'dsa' }, /augment: kip answers images as they are/],
  ['a network of KIP', { network: 'convnet' }, /network: kip has the kernel of an infinitely wide one/],
  ['batch norm of RFAD', { method: 'rfad', network: 'convnet-bn' }, /has batch norm: take one without/],
  ['dynamic pruning', { dynamic: {} }, /dynamic: kip matches neither/],
  ['a part of the classes', { shard: { index: 1, of: 2 } }, /shard: kip answers real images/],
  ['groups of classes', { classGroup: 1 }, /classGroup: kip answers real images/],
  ['a ridge of 0', { methodOptions: { ridge: 0 } }, /kip ridge: expected a number > 0/],
  ['no hidden layer', { methodOptions: { depth: 0 } }, /kip depth: expected a whole number from 1 to 100/],
  ['a loss that is none', { methodOptions: { loss: 'l1' } }, /kip loss: expected one of mse, half-mse, half-squares/],
])('refuses %s', async (_, given, message) => {
  await expect((async () => finish(given))()).rejects.toMatchObject({ code: 'invalid_option', message: expect.stringMatching(message) })
})

it.each(['frepo', 'kip', 'rfad'])('%s refuses images of one class, whose loss is 0 whatever they are', async (method) => {
  const one = noiseDataset.subset(noiseDataset.classIndices(0))
  const message = expect.stringContaining(`data set 'noise': expected images of at least two classes but received 1; ${method} would`)
  expect(() => distill(one, { method, ipc: 1, init: 'noise', device })).toThrow(expect.objectContaining({ code: 'invalid_data', message }))
})

it('says what a run needs before it begins', async () => {
  const { phases } = await planRun(noiseDataset, { method: 'kip', ipc: 2, iterations: 8, realBatch: 12, device })
  expect(phases[0]).toMatchObject({ name: 'distill', steps: 8 })
  expect(phases[0].totalBytes).toBeGreaterThan(2 * 4 * noiseSide ** 2 * 3 * 4)
})

it.each(variants.filter(([, { init }]) => init !== 'noise').slice(0, 1))(
  '%s names images of its start that are the same',
  async (_, given) => {
    const first = noiseDataset.images.slice()
    const size = first.length / noiseDataset.shape[0]
    for (let row = 1; row < noiseDataset.shape[0]; row++) first.copyWithin(row * size, 0, size)
    const run = distill(
      { ...noiseDataset, images: first },
      { ...{ method: 'kip', ipc: 2, iterations: 1, realBatch: 12, seed: 3, device }, ...given },
    )
    const said: string[] = []
    for await (const event of run) if (event.type === 'notice') said.push(event.message)
    expect(said).toEqual([expect.stringMatching(/^3 of the 4 images .* \(rows 0, 1, 2 and 3\)/)])
  },
)

it('refuses a matrix over more pixels than there is room for, before anything is made', async () => {
  const [side, rows] = [128, 4]
  const images = Uint8Array.from({ length: rows * side * side * 3 }, (_, i) => (i * 31) % 251)
  const about = { name: 'large', split: 'train' as const, classes: ['a', 'b'], mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25], flip: true }
  const large = createDataset({ ...about, images, shape: [rows, side, side, 3], labels: Int32Array.of(0, 1, 0, 1) })
  const network = convNet({ input: [side, side, 3], classes: 2, depth: 1, width: 8, norm: 'none' })
  const before = device.memory()
  const run = distill(large, { method: 'rfad', ipc: 1, iterations: 1, realBatch: 2, network, device })
  await expect(run.result).rejects.toMatchObject({ code: 'out_of_memory', message: expect.stringContaining('transformLr=0') })
  expect(device.memory()).toEqual(before)
})
