/** @file A plan against what a device really holds while the run it speaks of is on. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDataset, type Dataset } from '../../src/data/index.js'
import { distill } from '../../src/distill/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { evaluate, randomRealSet } from '../../src/evaluate/index.js'
import { createSyntheticSet } from '../../src/experiment/synthetic-set.js'
import { planRun } from '../../src/plan/plan.js'
import { fitZca, whiten } from '../../src/preprocess/index.js'
import { expectError } from '../unit/data/fixtures.js'

const rows = 24

/** Two classes of 16x16 noise. */
const noise = (split: 'train' | 'test'): Dataset =>
  createDataset({
    name: 'noise',
    split,
    classes: ['a', 'b'],
    images: Uint8Array.from({ length: rows * 768 }, (_, i) => (i * 7919) % 251),
    shape: [rows, 16, 16, 3],
    labels: Int32Array.from({ length: rows }, (_, i) => i % 2),
    mean: [0.5, 0.5, 0.5],
    std: [0.25, 0.25, 0.25],
    flip: true,
  })

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

describe('a plan', () => {
  const train = noise('train')
  const test = noise('test')

  it.each(['dm', 'atom', 'dc', 'dsa'])('of %s counts the bytes that the device holds', async (method) => {
    const settings = { method, ipc: 2, iterations: 2, realBatch: 8, network: 'convnet-w32' }
    const plan = await planRun(train, { ...settings, device })
    const run = distill(train, { ...settings, device })
    let held: ReturnType<Device['memory']> | undefined
    for await (const event of run) if (event.type === 'step') held ??= device.memory()
    await run.result
    const [{ bytes }] = plan.phases
    expect({ arrayBytes: bytes.arrays, constantBytes: bytes.constants }).toEqual({
      arrayBytes: held?.arrayBytes,
      constantBytes: held?.constantBytes,
    })
    expect(bytes.workspace).toBe(held?.workspaceBytes)
    expect(plan.phases[0]).toMatchObject({ name: 'distill', steps: 2 })
    expect(plan.phases[0].flops).toBeGreaterThan(0)
    expect(plan.config).toMatchObject({ method, ipc: 2, realBatch: 8 })
  })

  it('of whitened images counts their float32 pixels, and the whitening as a phase', async () => {
    const settings = { method: 'dm', ipc: 2, iterations: 2, realBatch: 8, network: 'convnet-w32' }
    const plain = await planRun(train, { ...settings, device, test })
    const plan = await planRun(train, { ...settings, device, test, zca: { order: 'normalised' } })
    const whitening = await fitZca(train, { device, order: 'normalised' })
    const run = distill(await whiten(train, whitening, { device }), { ...settings, device })
    let held: ReturnType<Device['memory']> | undefined
    for await (const event of run) if (event.type === 'step') held ??= device.memory()
    await run.result
    const [fitted, distilled] = plan.phases
    expect(fitted.name).toBe('whiten')
    expect(fitted.bytes.arrays).toBeGreaterThanOrEqual(20 * 768 ** 2)
    expect(distilled.bytes).toMatchObject({ arrays: held?.arrayBytes, constants: held?.constantBytes, workspace: held?.workspaceBytes })
    expect(plan.dataBytes).toBe(5 * plain.dataBytes)
    expect(plan.config).toMatchObject({ zca: 'normalised', zcaEps: 0.1 })
    await expect(planRun(train, { ...settings, device, zca: { orders: 'raw' } as never })).rejects.toMatchObject({ code: 'invalid_option' })
  })

  it('of an evaluation counts them too', async () => {
    const plan = await planRun(train, { method: 'dm', ipc: 2, device, test, networks: ['convnet-w32', 'mlp'], repeats: 2, epochs: 3 })
    expect(plan.phases.map(({ name, steps }) => [name, steps])).toEqual([
      ['distill', 20_000],
      ['evaluate convnet-w32', 4],
      ['evaluate mlp', 4],
    ])
    const held: ReturnType<Device['memory']>[] = []
    const onProgress = ({ epoch }: { readonly epoch: number }) => {
      if (epoch === 4) held.push(device.memory())
    }
    const set = randomRealSet(train, 2, 0)
    await evaluate(set, { test, device, networks: ['convnet-w32', 'mlp'], repeats: 2, epochs: 3, inference: 'engine', onProgress })
    expect(plan.phases.slice(1).map(({ bytes }) => bytes.arrays)).toEqual(held.map(({ arrayBytes }) => arrayBytes))
  })

  it('of trajectory matching plans the evaluation by its own protocol, with the labels that will have been learned', async () => {
    const general = { method: 'datm', ipc: 12, network: 'mlp', methodOptions: { innerSteps: 2 } }
    const plan = await planRun(train, { ...general, device, test, networks: ['mlp'], repeats: 1, epochs: 3 })
    const held: ReturnType<Device['memory']>[] = []
    const onProgress = ({ epoch }: { readonly epoch: number }) => {
      if (epoch === 4) held.push(device.memory())
    }
    const { save: _, ...real } = randomRealSet(train, 12, 0)
    const set = createSyntheticSet({ ...real, labelLogits: new Float32Array(48), learningRate: 0.01 })
    const [{ training }] = await evaluate(set, { test, device, networks: ['mlp'], repeats: 1, epochs: 3, inference: 'engine', onProgress })
    expect(training).toMatchObject({ protocol: 'trajectory', labels: 'soft' })
    expect(plan.phases[1].bytes.arrays).toBe(held[0].arrayBytes)
  })

  it('leaves nothing on the device', async () => {
    const before = device.memory().arrayBytes
    await planRun(train, { method: 'dm', ipc: 1, device, test })
    expect(device.memory().arrayBytes).toBe(before)
  })

  it('refuses what does not fit, and finds what does', async () => {
    const ample = await planRun(train, { method: 'dm', ipc: 1, realBatch: 12, device })
    expect(ample.fits).toBe(true)
    expect(ample.largest).toEqual({ ipc: 12, realBatch: 12 })
    const tight = await planRun(train, { method: 'dm', ipc: 12, realBatch: 12, device, memory: ample.peakBytes })
    expect(tight.fits).toBe(false)
    expect(tight.largest.ipc).toBeGreaterThanOrEqual(1)
    expect(tight.largest.ipc).toBeLessThan(12)
    const none = await planRun(train, { method: 'dm', ipc: 1, device, memory: 1000 })
    expect(none).toMatchObject({ fits: false, largest: { ipc: null, realBatch: null } })
  })

  it.each<[string, object, RegExp]>([
    ['an unknown option', { epoch: 3 }, /did you mean|names among/],
    ['memory that is no size', { memory: 1.5 }, /memory/],
    ['no networks trained', { repeats: 0 }, /repeats/],
    ['networks that are no list', { networks: 'convnet' }, /networks: expected a list/],
    ['an ipc above the class size', { ipc: 13 }, /at least 13 images/],
  ])('refuses %s', (_, change, message) =>
    expectError(() => planRun(train, { method: 'dm', ipc: 1, device, ...change } as never), 'invalid_option', message),
  )
})
