/** @file A plan against what a device really holds while the run it speaks of is on. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createDataset, type Dataset } from '../../src/data/index.js'
import { distill, distillRepresentations } from '../../src/distill/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { evaluate, randomRealSet } from '../../src/evaluate/index.js'
import { createSyntheticSet } from '../../src/experiment/synthetic-set.js'
import type { Checkpoint } from '../../src/experiment/types.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { planRun } from '../../src/plan/plan.js'
import { planRepresentations } from '../../src/plan/representations.js'
import { fitZca, whiten } from '../../src/preprocess/index.js'
import type { Teacher } from '../../src/teachers/teacher.js'
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

describe('a plan of a run without labels', () => {
  const train = noise('train')
  const dim = 3
  const teacher: Teacher = {
    ...{ name: 'means', objective: 'none', dim, sha256: '00' },
    input: { shape: [16, 16, 3], mean: [0, 0, 0], std: [1, 1, 1] },
    encode: async (pixels, rows) => Float32Array.from({ length: rows * dim }, (_, i) => pixels[Math.floor(i / dim) * 768 + (i % dim)]),
    memory: async () => 1234,
    dispose: async () => undefined,
  }
  const network = convNet({ input: [16, 16, 3], classes: dim, depth: 1, width: 8, norm: 'batch' })
  const settings = { method: 'krr-st', n: 4, iterations: 2, realBatch: 8, network }
  const small = (methodOptions: object = {}) => ({
    ...settings,
    methodOptions: { poolModels: 3, poolSteps: 4, teacherTable: 'off', ...methodOptions },
  })

  it('counts the bytes that the device holds, and once more the state while a checkpoint is taken', async () => {
    const plan = await planRepresentations(train, { ...small(), teacher, device })
    const before = device.memory()
    const saved: Checkpoint[] = []
    const checkpoints = { save: async (one: Checkpoint) => void saved.push(one), load: async () => undefined }
    const run = distillRepresentations(train, { ...small(), teacher, device, checkpoints, checkpointEvery: 2 })
    let first: ReturnType<Device['memory']> | undefined
    let most = 0
    for await (const event of run) {
      if (event.type === 'start') first = device.memory()
      most = Math.max(most, device.memory().arrayBytes)
    }
    await run.result
    const { arrays, constants, workspace } = plan.bytes
    expect([first?.arrayBytes, first?.constantBytes, first?.workspaceBytes]).toEqual([before.arrayBytes + arrays, constants, workspace])
    expect(most).toBe(before.arrayBytes + arrays + plan.stateBytes)
    const bytesOf = (keep: (name: string) => boolean) =>
      Object.entries(saved[saved.length - 1].tensors).reduce((sum, [name, { data }]) => (keep(name) ? sum + data.byteLength : sum), 0)
    expect(plan.stateBytes).toBe(bytesOf(() => true))
    // parameters, statistics and momentum of three networks, and their counters and ages
    const { parameters, state } = network
    const sizes = (specs: readonly { readonly shape: readonly number[] }[]) =>
      specs.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
    expect(plan.poolBytes).toBe(4 * (3 * (2 * sizes(parameters) + sizes(state)) + 6))
    expect(plan.peakBytes).toBe(plan.totalBytes + 2 * plan.stateBytes + plan.dataBytes)
    expect(plan).toMatchObject({ tableBytes: 0, teacherBytes: 1234, fits: true, dataBytes: train.images.byteLength })
    expect(plan.flops.pool).toBeGreaterThan(0)
    expect(device.memory().arrayBytes).toBe(before.arrayBytes)
  })

  it('counts the answers that are kept, and none of the pool where it starts untrained', async () => {
    const plan = await planRepresentations(train, { ...small({ teacherTable: 'on', poolStart: 'staggered' }), teacher, device })
    expect(plan.tableBytes).toBe(rows * 162 * dim * 4)
    expect(plan.flops.pool).toBe(0)
    const off = await planRepresentations(train, { ...small({ poolStart: 'staggered' }), teacher, device })
    expect(plan.peakBytes - off.peakBytes).toBe(plan.tableBytes)
    expect(plan.seconds.teacher).toBeGreaterThan(off.seconds.teacher)
  })

  it('says what does not fit, and what does', async () => {
    const ample = await planRepresentations(train, { ...small(), teacher, device })
    expect(ample.largest).toEqual({ n: rows, realBatch: rows, poolModels: 100 })
    const tight = await planRepresentations(train, { ...small(), n: rows, teacher, device, memory: ample.peakBytes })
    expect(tight.fits).toBe(false)
    expect(tight.largest.n).toBeGreaterThanOrEqual(4)
    expect(tight.largest.n).toBeLessThan(rows)
    expect(tight.largest.poolModels ?? 0).toBeLessThan(3)
    const none = await planRepresentations(train, { ...small(), teacher, device, memory: 1000 })
    expect(none).toMatchObject({ fits: false, largest: { n: null, realBatch: null, poolModels: null } })
    await expectError(() => planRepresentations(train, { ...small(), n: 25, teacher, device }), 'invalid_option', /at most 24/)
  })

  it('finds the largest real batch on either side of where answers begin to be kept', async () => {
    // 2 x 162 x 24 answers are asked for by 486 steps of 16 images
    const settings = { ...small({ teacherTable: 'auto' }), iterations: 486, realBatch: 2, teacher, device }
    const kept = await planRepresentations(train, { ...settings, realBatch: 16 })
    expect(kept.tableBytes).toBeGreaterThan(0)
    for (const realBatch of [2, rows]) {
      const { tableBytes, largest } = await planRepresentations(train, { ...settings, realBatch, memory: kept.peakBytes - 1 })
      expect([tableBytes > 0, largest.realBatch]).toEqual([realBatch === rows, 15])
    }
  })

  it.each([
    [
      'kept answers',
      { teacherTable: 'on' },
      (bytes: number) => bytes - 1,
      /answers of the teacher that are kept need 46656 bytes but 46655 are free.*teacherTable/,
    ],
    [
      'a pool',
      { poolModels: 60 },
      () => 100_000,
      /needs \d+ bytes.* but 100000 are free; lower n, realBatch or poolModels; planRepresentations/,
    ],
  ] as const)('and a run whose memory has no room for %s is refused before its first step', async (_, change, bytes, message) => {
    const held = device.memory().arrayBytes
    const free = vi.spyOn(process as never as { availableMemory(): number }, 'availableMemory').mockReturnValue(bytes(rows * 162 * dim * 4))
    try {
      const run = distillRepresentations(train, { ...small(change), teacher, device })
      await expectError(() => run.result, 'out_of_memory', message)
    } finally {
      free.mockRestore()
    }
    expect(device.memory().arrayBytes).toBe(held)
  })
})

it.each(['frepo', 'kip', 'rfad'])('a plan of %s counts the bytes that the device holds', async (method) => {
  const train = noise('train')
  const pool = method === 'frepo' ? { methodOptions: { poolModels: 2, poolSteps: 3 } } : {}
  const network = method === 'kip' ? {} : { network: 'lenet' }
  const settings = { method, ipc: 2, iterations: 2, realBatch: 8, ...network, ...pool }
  const plan = await planRun(train, { ...settings, device })
  const run = distill(train, { ...settings, device })
  let held: ReturnType<Device['memory']> | undefined
  for await (const event of run) if (event.type === 'start') held = device.memory()
  await run.result
  const [{ bytes }] = plan.phases
  expect(bytes).toEqual({ arrays: held?.arrayBytes, constants: held?.constantBytes, workspace: held?.workspaceBytes })
  expect(plan.peakBytes).toBe(plan.phases[0].totalBytes + 2 * plan.stateBytes + plan.dataBytes)
})
