/** @file DC: the method contract, the algorithm box in float64, its presets and options, and runs that go on or break off within. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GradientIterations } from '../../src/distill/gradient-matching-loop.js'
import { distill } from '../../src/distill/index.js'
import { initialImages } from '../../src/distill/initial-images.js'
import type { GradientMethod } from '../../src/distill/method.js'
import { resolveSettings } from '../../src/distill/settings.js'
import type { TypedArray } from '../../src/engine/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import type { DistillSettings, RunEvent } from '../../src/experiment/types.js'
import { convNet, type Norm } from '../../src/nn/networks/conv-net.js'
import { runOn, stripes, testMethod } from './contract.js'
import { referenceRun } from './gradient-reference.js'

testMethod('dc', { methodOptions: { outerLoop: 2, innerLoop: 2 } })

const dataset = stripes([9, 8, 10])
const network = (norm: Norm) => convNet({ input: [12, 12, 3], classes: 3, width: 8, depth: 1, norm })
const loops = { outerLoop: 2, innerLoop: 2 }
const settings: DistillSettings = { method: 'dc', ipc: 2, iterations: 2, realBatch: 5, seed: 1, methodOptions: loops }

const losses = (events: readonly RunEvent[]) => events.flatMap((event) => (event.type === 'step' ? [event.loss] : []))

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

describe('dc: the algorithm box', () => {
  it.each([
    ['instance norm', 'instance', 'none', [9, 8, 10], 5],
    ['augmented', 'instance', 'color_crop_flip_rotate', [9, 8, 10], 5],
    ['batch norm with frozen statistics', 'batch', 'none', [9, 8, 10], 5],
    ['batch norm, augmented, classes smaller than their batches', 'batch', 'crop_scale', [6, 2, 4], 5],
  ] as const)('%s: losses and images of a float64 run', async (_, norm, augment, counts, realBatch) => {
    const data = stripes(counts)
    const options = { outerLoop: 3, innerLoop: 3, networkLr: 0.05, trainBatch: 4, statisticsBatch: 3 }
    const general = { network: network(norm), ipc: 2, iterations: 2, realBatch, seed: 6, augment, init: 'noise', imageLr: 0.5 } as const
    const reference = await referenceRun(data, { ...general, ...options })
    const { set, events } = await runOn(data, { ...general, method: 'dc', methodOptions: options }, 2)
    for (const [i, loss] of losses(events).entries()) expect(Math.abs(loss / reference.losses[i] - 1)).toBeLessThan(1e-5)
    const start = (await initialImages(data, { ipc: 2, init: 'noise', seed: 6 })).images
    const moved = Math.max(...reference.images.map((v, i) => Math.abs(v - start[i])))
    const error = Math.max(...reference.images.map((v, i) => Math.abs(v - set.images[i])))
    expect(moved).toBeGreaterThan(0.01)
    expect(error / moved).toBeLessThan(1e-4)
  })
})

describe('dc: presets and options', () => {
  const configOf = (changes: Partial<DistillSettings>) => resolveSettings(dataset, { method: 'dc', ipc: 1, ...changes }).config

  it.each([
    [1, 1, 1],
    [5, 1, 1],
    [10, 10, 50],
    [20, 20, 25],
    [30, 30, 20],
    [40, 40, 15],
    [50, 50, 10],
    [99, 50, 10],
    [100, 100, 2],
  ])('IPC %i: outer loop %i, inner loop %i', (ipc, outerLoop, innerLoop) => {
    expect(configOf({ ipc })).toMatchObject({ outerLoop, innerLoop })
  })

  it.each([
    ['code', 256],
    ['paper', null],
  ])('preset %s', (preset, trainBatch) => {
    const general = { iterations: 1000, realBatch: 256, imageLr: 0.1, imageMomentum: 0.5, network: 'convnet', networkLr: 0.01 }
    const config = configOf({ preset })
    expect(config).toMatchObject({ ...general, init: 'noise', augment: 'none', trainBatch, metric: 'layer-cosine', layers: [1, 2, 3] })
    expect(configOf({ preset, method: 'dsa' })).toMatchObject({ ...general, init: 'real', augment: 'dsa', trainBatch })
  })

  it.each([
    ['metric', { metric: 'mse' }],
    ['metric', { metric: 'cosine' }],
    ['layers', { layers: [1, 3] }],
    ['mask', { mask: 'depth:0.4' }],
    ['innerLoop', { innerLoop: 3 }],
    ['networkLr', { networkLr: 0.1 }],
    ['trainBatch', { trainBatch: 4 }],
    ['statisticsBatch', { statisticsBatch: 2 }],
  ])('%s has its effect: %j', async (_, change) => {
    const start = { ...settings, iterations: 1, network: 'convnet-bn' }
    const [plain, changed] = [await runOn(dataset, start, 1), await runOn(dataset, { ...start, methodOptions: { ...loops, ...change } }, 1)]
    expect(changed.set.config).toMatchObject(change)
    expect(losses(changed.events).every((loss) => Number.isFinite(loss) && loss > 0)).toBe(true)
    expect(changed.set.images).not.toEqual(plain.set.images)
  })

  it("trainBatch 'all' is the whole set: one step an epoch", async () => {
    const all = await runOn(dataset, { ...settings, methodOptions: { ...loops, trainBatch: 'all' } }, 1)
    expect(all.set.config).toMatchObject({ trainBatch: null })
    const six = await runOn(dataset, { ...settings, methodOptions: { ...loops, trainBatch: 6 } }, 1)
    expect(all.set.images).toEqual(six.set.images)
  })

  it.each<[Record<string, number | string | number[]>, RegExp]>([
    [{ metric: 'l2' }, /dc metric: expected one of layer-cosine, mse, cosine but received 'l2'/],
    [{ outerLoop: 0 }, /dc outerLoop: expected a whole number >= 1 but received 0/],
    [{ innerLoop: 1.5 }, /dc innerLoop: expected a whole number >= 1 but received 1.5/],
    [{ trainBatch: 'whole' }, /dc trainBatch: expected a whole number >= 1, or 'all' but received 'whole'/],
    [{ layers: [2, 5] }, /layers: expected layer numbers up to 3 of .* but received 5/],
    [{ mask: 'loss:0.5' }, /dc mask: expected 'none' or 'depth:A' with a share A in \[0, 1\) but received 'loss:0.5'/],
    [{ networkLr: 0 }, /dc networkLr: expected a number > 0 but received 0/],
    [{ lambda: 1 }, /expected one of outerLoop, innerLoop, .* but received 'lambda'/],
  ])('refuses %j', (methodOptions, message) => {
    expect(() => distill(dataset, { ...settings, methodOptions, device })).toThrow(
      expect.objectContaining({ code: 'invalid_option', message: expect.stringMatching(message) }),
    )
  })

  it('refuses more steps than can be numbered', async () => {
    const run = distill(dataset, { ...settings, iterations: 2 ** 30, methodOptions: { outerLoop: 4 }, device })
    await expect(run.result).rejects.toMatchObject({ code: 'invalid_option', message: expect.stringContaining('less than 2^32 steps') })
  })
})

describe('dc: within a run', () => {
  it('goes on from any iteration with images and velocity alone', async () => {
    const resolved = resolveSettings(dataset, { ...settings, iterations: 4, network: 'convnet-bn', augment: 'dsa' })
    const open = () => new GradientIterations(device, dataset, { ...resolved, method: resolved.method as GradientMethod })
    const { stateShape } = open()
    const stateOf = (images: TypedArray, velocity: TypedArray) => ({
      images: device.array('f32', stateShape, images),
      velocity: device.array('f32', stateShape, velocity),
    })
    const { images } = await initialImages(dataset, resolved)
    const whole = stateOf(images, new Float32Array(images.length))
    const all = await open().run(whole, { first: 0, n: 4 })
    const first = stateOf(images, new Float32Array(images.length))
    const parts = [...(await open().run(first, { first: 0, n: 2 }))]
    const second = stateOf(await first.images.read(), await first.velocity.read())
    parts.push(...(await open().run(second, { first: 2, n: 2 })))
    expect(parts).toEqual(all)
    expect(await second.images.read()).toEqual(await whole.images.read())
  })

  it.each([
    ['matching steps', { outerLoop: 1_000_000, innerLoop: 1 }],
    ['training', { outerLoop: 2, innerLoop: 100_000_000 }],
  ])('an abort ends an iteration in the midst of its %s', async (_, methodOptions) => {
    const own = await Device.open({ threads: 1 })
    const controller = new AbortController()
    const run = distill(dataset, { ...settings, methodOptions, device: own, signal: controller.signal })
    setTimeout(() => controller.abort(), 300)
    await expect(run.result).rejects.toMatchObject({ name: 'AbortError' })
    expect(own.memory()).toMatchObject({ arrayBytes: 0, constantBytes: 0 })
    await own.close()
  })
})
