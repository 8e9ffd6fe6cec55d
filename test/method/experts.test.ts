/** @file Training of experts into a store: the same bytes continued, sharded or not; what is stored is what was trained; bad ends leave the store usable. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { library } from '../../src/cli/library.js'
import { Device } from '../../src/engine/runtime/device.js'
import { settingsOf } from '../../src/experts/record.js'
import type { ExpertsOptions } from '../../src/experts/settings.js'
import { openExperts } from '../../src/experts/store.js'
import { trainExperts } from '../../src/experts/train-experts.js'
import { verifyExperts } from '../../src/experts/verify.js'
import { parameterCount } from '../../src/nn/module.js'
import { networkByName } from '../../src/nn/networks/registry.js'
import { padSchedule } from '../../src/schedule/index.js'
import { noiseDataset as data } from '../noise-dataset.js'
import { run } from '../unit/cli/fake-library.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'experts-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

/** Batches of 16 of 40 rows: the last one of an epoch is short. */
const small = { network: 'mlp', experts: 3, epochs: 4, batch: 16, lr: 0.05, together: 1 } as const
const at = (name: string) => join(dir, name)
const train = (name: string, options: Partial<ExpertsOptions> = {}) => trainExperts(at(name), data, { device, ...small, ...options })

async function failure(promise: Promise<unknown>): Promise<{ code: string; message: string }> {
  return promise.then(
    () => ({ code: 'none', message: 'it did not fail' }),
    ({ code, message }) => ({ code, message }),
  )
}

/** Every file of a store by name; nothing else may be there. */
async function filesOf(name: string): Promise<Record<string, string>> {
  const names = (await readdir(at(name))).sort()
  const files = names.filter((one) => one !== 'progress')
  expect(names.includes('progress') ? await readdir(join(at(name), 'progress')) : []).toEqual([])
  return Object.fromEntries(
    await Promise.all(files.map(async (one) => [one, (await readFile(join(at(name), one))).toString('base64')] as const)),
  )
}

/** Aborts the training when so many epochs of `expert` are done. */
function stopAt(expert: number, epochs: number): Pick<ExpertsOptions, 'signal' | 'onProgress'> {
  const abort = new AbortController()
  return {
    signal: abort.signal,
    onProgress: ({ experts: [first], epoch }) => {
      if (first === expert && epoch > epochs) abort.abort()
    },
  }
}

describe('a training', () => {
  it('stores every kept epoch of every expert, and how it went', async () => {
    const store = await train('store')
    expect(store.experts).toEqual([0, 1, 2])
    expect(store.record).toMatchObject({
      kept: [0, 1, 2, 3, 4],
      parameters: parameterCount(networkByName('mlp', [8, 8, 3], 2)),
      config: { optimizer: 'sgd', lr: 0.05, momentum: 0, weightDecay: 0, batch: 16, augment: 'dsa', seed: 0, together: 1 },
    })
    const all = new Set<string>()
    for (const expert of store.experts) {
      expect(store.expert(expert).losses).toHaveLength(4)
      expect(store.expert(expert).accuracies.every((accuracy) => accuracy >= 0 && accuracy <= 100)).toBe(true)
      for (const epoch of store.record.kept) all.add(String((await store.checkpoint(expert, epoch)).slice(0, 50)))
    }
    expect(all.size).toBe(15)
    expect((await verifyExperts(at('store'))).every(({ problem }) => problem === undefined)).toBe(true)
    expect(await filesOf('store')).toBeDefined()
  })

  it('learns', async () => {
    const losses = (await train('store', { epochs: 12, augment: 'none', experts: 1 })).expert(0).losses
    expect(losses[11]).toBeLessThan(0.8 * losses[0])
  })

  it('keeps the range and the last epoch, of the same numbers', async () => {
    const [all, some] = [await train('all', { experts: 1 }), await train('some', { experts: 1, keepEpochs: { from: 1, to: 2 } })]
    expect(some.record.kept).toEqual([1, 2, 4])
    for (const epoch of some.record.kept) expect(await some.checkpoint(0, epoch)).toEqual(await all.checkpoint(0, epoch))
  })

  it('tells the steps of all experts', async () => {
    const seen: number[] = []
    await train('store', { onProgress: ({ done, total }) => seen.push(done / total) })
    expect(seen).toEqual([...seen].sort((a, b) => a - b))
    expect([seen[0], seen.at(-1)]).toEqual([0, 1])
  })
})

describe.each<[string, Partial<ExpertsOptions>]>([
  ['plain', {}],
  ['GSAM with momentum, two together', { optimizer: 'gsam', momentum: 0.9, weightDecay: 1e-3, together: 2 }],
])('%s: the same bytes', (_, options) => {
  it('whenever it is stopped and continued', async () => {
    await train('whole', options)
    const firsts = options.together === 2 ? [0, 2] : [0, 1, 2]
    for (const expert of firsts)
      for (const epochs of [0, 2]) expect((await failure(train('stopped', { ...options, ...stopAt(expert, epochs) }))).code).toBe('aborted')
    await train('stopped', options)
    expect(await filesOf('stopped')).toEqual(await filesOf('whole'))
  })

  it('in shards, in any order, at other numbers of threads', async () => {
    await train('whole', options)
    for (const index of [2, 1]) {
      const other = await Device.open({ threads: index })
      await train('sharded', { ...options, device: other, shard: { index, of: 2 } })
      await other.close()
    }
    expect(await filesOf('sharded')).toEqual(await filesOf('whole'))
  })

  it('of an expert, however many are planned', async () => {
    await train('whole', options)
    await train('grown', { ...options, experts: 1 })
    await train('grown', options)
    expect(await filesOf('grown')).toEqual(await filesOf('whole'))
  })
})

it('GSAM without a radius stores the numbers of gradient descent', async () => {
  const plain = await train('plain', { experts: 1 })
  const gsam = await train('gsam', { experts: 1, optimizer: 'gsam', gsam: { rho: 0, alpha: 0 } })
  expect(await gsam.checkpoint(0, 4)).toEqual(await plain.checkpoint(0, 4))
  const real = await train('real', { experts: 1, optimizer: 'gsam' })
  expect(await real.checkpoint(0, 4)).not.toEqual(await plain.checkpoint(0, 4))
})

describe('a schedule', () => {
  const rule = { initialRatio: 0.5, addEndEpoch: 2, removeMiddle: 2, removeEnd: 3, r1: 0.2, r2: 0.3, scope: 'class' } as const
  const scheduleOf = (scores: ArrayLike<number>) => padSchedule({ ...rule, scores, labels: data.labels, classes: 2 })
  const rising = Array.from({ length: 40 }, (_, i) => i)

  it('changes what is trained on, is recorded, and goes on after a stop', async () => {
    const schedule = await scheduleOf(rising)
    const plain = await train('plain', { experts: 1 })
    const whole = await train('whole', { experts: 1, schedule })
    expect(whole.record.schedule).toMatchObject({ name: 'pad', initialRatio: 0.5, scope: 'class' })
    expect(await whole.checkpoint(0, 1)).not.toEqual(await plain.checkpoint(0, 1))
    expect((await failure(train('stopped', { experts: 1, schedule, ...stopAt(0, 3) }))).code).toBe('aborted')
    await train('stopped', { experts: 1, schedule })
    expect(await filesOf('stopped')).toEqual(await filesOf('whole'))
  })

  it('of all rows is none, to the bit', async () => {
    const everything = { name: 'all', config: {}, rows: () => Int32Array.from(rising) }
    const [plain, all] = [await train('plain', { experts: 1 }), await train('all', { experts: 1, schedule: everything })]
    expect(await all.checkpoint(0, 4)).toEqual(await plain.checkpoint(0, 4))
  })

  it('of another ranking does not continue a store', async () => {
    await train('store', { experts: 1, schedule: await scheduleOf(rising) })
    const other = await scheduleOf(rising.map((score) => -score))
    expect(await failure(train('store', { experts: 2, schedule: other }))).toMatchObject({
      code: 'invalid_option',
      message: expect.stringContaining('schedule ranking'),
    })
  })
})

it('of more experts is the same store, and a folder that a killed process left is removed', async () => {
  const { sha256 } = await train('store', { experts: 2 })
  await mkdir(join(at('store'), 'progress', 'experts-0001-0001'), { recursive: true })
  const grown = await train('store')
  expect([grown.sha256, grown.experts]).toEqual([sha256, [0, 1, 2]])
  expect(await filesOf('store')).toHaveProperty('expert-0002.json')
})

it('by the command in shards compares with the store that is there before it writes', async () => {
  const shard = (part: string, ...more: string[]) =>
    run(
      library,
      ...['experts', '--data', 'fashion-mnist', '--network', 'mlp', '--experts', '2', '--epochs', '1', '--out', at('store')],
      ...['--schedule', 'pad:addEndEpoch=0,removeMiddle=0,removeEnd=0', '--scores', 'random', '--shard', part, ...more],
    )
  expect((await shard('1/2')).code).toBe(0)
  const before = await filesOf('store')
  const other = await shard('2/2', '--seed', '1')
  expect([other.code, other.stderr]).toEqual([1, expect.stringMatching(/ranking of the images: expected/)])
  const whitened = await shard('2/2', '--zca')
  expect([whitened.code, whitened.stderr]).toEqual([1, expect.stringMatching(/whitening: expected none but received/)])
  expect(await filesOf('store')).toEqual(before)
  expect((await shard('2/2')).code).toBe(0)
  expect((await openExperts(at('store'))).experts).toEqual([0, 1])
})

it('by the command takes scores that are there only where they are those asked for', async () => {
  const scores = ['--kind', 'el2n', '--network', 'mlp', '--runs', '1', '--epochs', '1', '--out', join(at('store'), 'scores')]
  expect((await run(library, 'score', '--data', 'fashion-mnist', ...scores)).code).toBe(0)
  const experts = (...more: string[]) =>
    run(
      library,
      ...['experts', '--data', 'fashion-mnist', '--network', 'mlp', '--experts', '1', '--epochs', '1', '--out', at('store')],
      ...['--schedule', 'pad:addEndEpoch=0,removeMiddle=0,removeEnd=0', '--score-network', 'mlp', '--score-epochs', '1', ...more],
    )
  const other = await experts('--score-runs', '2')
  expect([other.code, other.stderr]).toEqual([1, expect.stringMatching(/scores with runs: expected 2 but received '?1/)])
  expect((await experts('--score-runs', '1')).code).toBe(0)
})

describe('bad ends', () => {
  it('of a loss that is no number stores nothing of it, and tells the expert and the epoch', async () => {
    const { code, message } = await failure(train('store', { lr: 1e30 }))
    expect(code).toBe('not_finite')
    expect(message).toMatch(/expert 0: the training loss of epoch \d is (NaN|Infinity)/)
    expect((await openExperts(at('store'))).experts).toEqual([])
  })

  it('of a checkpoint damaged while it grew are told by its hash', async () => {
    await failure(train('store', stopAt(0, 2)))
    const growing = join(at('store'), 'progress', 'experts-0000-0000', 'growing-0.safetensors')
    const bytes = new Uint8Array(await readFile(growing))
    bytes[bytes.length - 1] ^= 1
    await writeFile(growing, bytes)
    expect(await failure(train('store'))).toMatchObject({ code: 'invalid_data', message: expect.stringMatching(/epoch \d.*sha256/) })
  })

  it('come before anything is written: options that are none', async () => {
    const wrong: [Readonly<Record<string, unknown>>, RegExp][] = [
      [{ experts: 0 }, /experts: expected a whole number >= 1/],
      [{ epochs: 1.5 }, /epochs/],
      [{ lr: -1 }, /lr/],
      [{ momentum: 1 }, /momentum/],
      [{ optimizer: 'adam' }, /'sgd' or 'gsam'/],
      [{ gsam: { rho: 0.1 } }, /beside optimizer 'sgd'/],
      [{ optimizer: 'gsam', gsam: { rho: Number.NaN } }, /rho/],
      [{ keepEpochs: { from: 2, to: 9 } }, /keepEpochs/],
      [{ schedule: { name: 'pad' } }, /schedule/],
      [{ shard: { index: 3, of: 2 } }, /shard/],
      [{ network: 'resnet18-bn' }, /batch statistics/],
      [{ network: 'nothing' }, /expected/],
      [{ together: 0 }, /together/],
      [{ epoch: 3 }, /epochs/],
    ]
    for (const [options, told] of wrong) {
      const { message } = await failure(train('none', options as Partial<ExpertsOptions>))
      expect(message, JSON.stringify(options)).toMatch(told)
    }
    expect(await readdir(dir)).toEqual([])
  })

  it('come before anything is trained: epochs without rows, or with rows that are not there', async () => {
    const schedule = (rows: (epoch: number) => number[]) => ({
      schedule: { name: 'own', config: { kind: 'own' }, rows: (epoch: number) => Int32Array.from(rows(epoch)) },
    })
    expect(
      await failure(
        train(
          'empty',
          schedule((epoch) => (epoch === 2 ? [] : [0, 1])),
        ),
      ),
    ).toMatchObject({
      code: 'invalid_option',
      message: expect.stringMatching(/epoch 3: expected at least one row/),
    })
    expect(
      await failure(
        train(
          'beyond',
          schedule((epoch) => (epoch === 1 ? [0, 40] : [0, 1])),
        ),
      ),
    ).toMatchObject({
      code: 'invalid_option',
      message: expect.stringMatching(/epoch 2: expected rows from 0 to 39 but received 40/),
    })
  })

  it('of other settings name the one that differs', async () => {
    const store = await train('store', { experts: 1 })
    expect((await failure(train('store', { lr: 0.1 }))).message).toMatch(/lr is 0.05 there but 0.1 here/)
    expect((await failure(train('store', { epochs: 5 }))).message).toMatch(/epochs is 4 there but 5 here/)
    const fewer = data.subset([0, 1, 2, 3, 5, 7])
    expect((await failure(trainExperts(at('store'), fewer, { device, ...small }))).message).toContain(fewer.sha256)
    expect(settingsOf((await openExperts(at('store'))).record)).toBe(settingsOf(store.record))
  })

  it('of two processes at the same experts: one waits outside', async () => {
    const [first, second] = [train('store'), train('store')].map((training) => failure(training))
    const codes = [(await first).code, (await second).code].sort()
    expect(codes).toEqual(['locked', 'none'])
  })
})
