/** @file Architecture search end to end on a part of the bundled Fashion-MNIST: every source, an abort and its continuation, what is refused. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseAugment } from '../../src/augment/dsa.js'
import { library } from '../../src/cli/library.js'
import { createDataset, type Dataset } from '../../src/data/dataset.js'
import { bundledFashionMnist, fashionMnist } from '../../src/data/fashion-mnist.js'
import { Device } from '../../src/engine/runtime/device.js'
import { randomRealSet } from '../../src/evaluate/random-real.js'
import { createRepresentationSet } from '../../src/experiment/representation-set.js'
import { createSyntheticSet } from '../../src/experiment/synthetic-set.js'
import type { SyntheticSet } from '../../src/experiment/types.js'
import { nas, planNas } from '../../src/nas/nas.js'
import type { NasOptions } from '../../src/nas/options.js'
import { openNasStore } from '../../src/nas/record.js'
import { prepareSearch } from '../../src/nas/search.js'
import { trainGroup } from '../../src/nas/train-group.js'
import type { Network } from '../../src/nn/module.js'
import { fitZca, whiten } from '../../src/preprocess/index.js'
import { run } from '../unit/cli/fake-library.js'
import { freshDir } from '../unit/data/fixtures.js'

let device: Device
let data: Dataset
let test: Dataset
let set: SyntheticSet
/** The first of every class. */
const some = (whole: Dataset, perClass: number) =>
  whole.subset(whole.classes.flatMap((_, c) => [...whole.classIndices(c).subarray(0, perClass)]).sort((a, b) => a - b))

beforeAll(async () => {
  device = await Device.open({ threads: 2 })
  data = some(await fashionMnist(bundledFashionMnist, 'train'), 30)
  test = some(await fashionMnist(bundledFashionMnist, 'test'), 10)
  set = randomRealSet(data, 2, 7)
})
afterAll(() => device.close())

const space = { width: [4, 8], depth: [1, 2], norm: ['instance', 'none'], activation: ['relu'], pooling: ['avg'] } as const
const optionsOf = (more: Partial<NasOptions> = {}): NasOptions => ({
  ...{ device, data, test, space, sample: 3, repeats: 2, epochs: 6, fullEpochs: 2, top: 0.7 },
  ...more,
})

describe('nas', () => {
  it('trains every source by the loss and under the augmentation of a protocol that is not the usual one', async () => {
    const { trainings } = await prepareSearch(set, optionsOf({ protocol: 'frepo' }))
    expect(trainings.map(({ source }) => source)).toEqual(['distilled', 'random', 'early-stop', 'full'])
    for (const { sets, policy, protocol } of trainings) {
      const [own] = sets(0, 1)
      expect([own.squared, own.softLabels?.length]).toEqual([true, 10 * own.shape[0]])
      expect([protocol.name, policy]).toEqual(['frepo', parseAugment('frepo', set.flip)])
    }
    const keys = async (augment: string) => (await prepareSearch(set, optionsOf({ augment }))).jobs.map(({ keys: [key] }) => key)
    const [dsa, frepo] = [await keys('dsa'), await keys('frepo')]
    expect(frepo.filter((key) => dsa.includes(key))).toEqual([])
    const asked = await prepareSearch(set, optionsOf({ protocol: 'frepo', augment: 'none' }))
    for (const { policy } of asked.trainings) expect(policy.operations).toEqual([])
  })

  it('takes as many random real images of each class as the set has', async () => {
    const rows = Array.from({ length: set.labels.length }, (_, row) => row).filter((row) => row !== 0 && row !== 5)
    const pixels = set.images.length / set.labels.length
    const images = new Float32Array(rows.length * pixels)
    for (const [i, row] of rows.entries()) images.set(set.images.subarray(row * pixels, (row + 1) * pixels), i * pixels)
    const labels = Int32Array.from(rows, (row) => set.labels[row])
    const { sourceIds: _, ...fields } = fieldsOf(set)
    const uneven = createSyntheticSet({ ...fields, images, labels, shape: [rows.length, 28, 28, 1] })
    const randomOf = async (given: SyntheticSet) => {
      const { trainings } = await prepareSearch(given, optionsOf({ baselines: ['random'] }))
      return trainings[1].sets(0, 1)[0]
    }
    const [even, own] = [await randomOf(set), await randomOf(uneven)]
    expect([...own.labels]).toEqual([0, 1, 1, 2, ...[3, 4, 5, 6, 7, 8, 9].flatMap((c) => [c, c])])
    expect(own.shape[0]).toBe(18)
    // the first of those that an even set has
    const kept = [...even.labels.keys()].filter((row) => row !== 1 && row !== 5)
    expect([...own.images]).toEqual(kept.flatMap((row) => [...even.images.subarray(row * pixels, (row + 1) * pixels)]))
  })

  it('looks at the set first', async () => {
    await expect(nas(undefined as never, optionsOf())).rejects.toMatchObject({
      code: 'invalid_data',
      message: expect.stringMatching(/set/),
    })
  })

  it('orders the space, compares the sample, and a stopped search ends with the same bytes at any thread count', async () => {
    const whole = join(freshDir(), 'whole')
    const shares: number[] = []
    const result = await nas(set, optionsOf({ store: await openNasStore(whole), onProgress: ({ share }) => shares.push(share) }))
    expect(result.ranking).toHaveLength(8)
    expect(result.sources.map(({ source, trainings }) => [source, trainings])).toEqual([
      ['distilled', 16],
      ['random', 6],
      ['early-stop', 6],
      ['full', 3],
    ])
    const means = result.ranking.map(({ accuracies }) => accuracies.distilled?.mean ?? Number.NaN)
    expect([...means].sort((a, b) => b - a)).toEqual(means)
    const sampled = result.ranking.filter(({ accuracies }) => accuracies.full)
    expect(sampled.map(({ name }) => name).sort()).toEqual([...result.sample].sort())
    for (const { accuracies } of sampled) {
      expect(Object.keys(accuracies)).toEqual(['distilled', 'random', 'early-stop', 'full'])
      expect(accuracies.full?.mean).toBeGreaterThan(15)
      expect(accuracies.distilled).toMatchObject({ n: 2, diverged: 0 })
    }
    const full = result.sources[3]
    expect(full.sample).toMatchObject({ n: 3, spearman: 1, kendall: 1 })
    expect(full.top.n).toBe(2)
    expect(full.best.accuracy).toBe(Math.max(...sampled.map(({ accuracies }) => accuracies.full?.mean ?? 0)))
    for (const { seconds, spaceSeconds } of result.sources) expect(spaceSeconds).toBeGreaterThanOrEqual(seconds ?? Number.NaN)
    expect([...shares].sort((a, b) => a - b)).toEqual(shares)
    expect(shares.at(-1)).toBeCloseTo(1, 9)

    const stopped = join(freshDir(), 'stopped')
    const other = await Device.open({ threads: 1 })
    for (const after of [3, 8]) {
      const abort = new AbortController()
      let groups = 0
      const onCells = () => {
        groups++
        if (groups === after) abort.abort()
      }
      const store = await openNasStore(stopped)
      await expect(nas(set, optionsOf({ device: other, store, signal: abort.signal, onCells }))).rejects.toMatchObject({
        name: 'AbortError',
      })
    }
    const store = await openNasStore(stopped)
    const plan = await planNas(set, optionsOf({ store, device: other }))
    expect(plan.sources.map(({ source, done }) => [source, done])).toEqual([
      ['distilled', 16],
      ['random', 6],
      ['early-stop', 0],
      ['full', 0],
    ])
    const { seconds: _, ...first } = (await nas(set, optionsOf({ store, device: other }))).sources[0]
    expect(first).toMatchObject({ sample: result.sources[0].sample, best: result.sources[0].best })
    await other.close()
    const text = (dir: string) => readFileSync(join(dir, 'nas.json'), 'utf8')
    expect(text(stopped)).toBe(text(whole))
    // nothing is done twice, and the file does not change
    const before = text(whole)
    await nas(set, optionsOf({ store: await openNasStore(whole), onProgress: () => expect.unreachable() }))
    expect(text(whole)).toBe(before)
  })

  it('plans before it begins', async () => {
    const plan = await planNas(set, optionsOf({ baselines: ['random'] }))
    expect(plan).toMatchObject({ architectures: 8, sample: 3 })
    expect(plan.sources.map(({ source, trainings }) => [source, trainings])).toEqual([
      ['distilled', 16],
      ['random', 6],
      ['full', 3],
    ])
    expect(plan.flops).toBeGreaterThan(0)
    expect(plan.bytes).toBeGreaterThan(data.images.length)
    expect(plan.bytes).toBeLessThan(plan.freeBytes)
  })

  it('counts a network that diverges as an answer', async () => {
    const images = set.images.map((value) => value * 1e30)
    const wild = createSyntheticSet({ ...fieldsOf(set), images })
    const small = { ...space, width: [4], norm: ['none'] as const }
    const result = await nas(wild, optionsOf({ space: small, sample: 2, baselines: [], fullEpochs: 1 }))
    for (const { accuracies } of result.ranking) expect(accuracies.distilled).toEqual({ mean: 0, std: 0, n: 2, diverged: 2 })
    expect(result.sources[0].sample).toMatchObject({ spearman: null, kendall: null, interval: null })
  })

  it('trains a group of which one diverges again, network by network, and its progress does not fall', async () => {
    const { trainings, candidates } = await prepareSearch(set, optionsOf({ epochs: 40 }))
    const [distilled] = trainings
    const network = candidates.find(({ architecture }) => architecture.norm === 'none')?.network as Network
    const sets = (first: number, groups: number) =>
      Array.from({ length: groups }, (_, g) => (first + g === 1 ? { ...set, images: set.images.map((value) => value * 1e30) } : set))
    const shares: number[] = []
    const group = { network, training: { ...distilled, sets }, first: 0, groups: 3, seed: 0 }
    const accuracies = await trainGroup(device, test, group, { signal: undefined, report: (share) => shares.push(share) })
    expect(accuracies).toEqual([expect.any(Number), null, expect.any(Number)])
    expect([...shares].sort((a, b) => a - b)).toEqual(shares)
    expect(shares.at(-1)).toBeCloseTo(1, 9)
    expect(shares.filter((share) => share < 1).length).toBeGreaterThan(6)
  })

  it('whitens real images as the set is, and refuses whitened ones where it is not', async () => {
    const whitening = await fitZca(data, { device })
    const whitened = await whiten(data, whitening, { device })
    const small = { space: { ...space, width: [4], norm: ['none'] as const }, sample: 2, repeats: 1, epochs: 3, fullEpochs: 1 }
    const ofRaw = await nas(randomRealSet(whitened, 2, 7), optionsOf(small))
    const ofWhitened = await nas(randomRealSet(whitened, 2, 7), optionsOf({ ...small, data: whitened }))
    expect(ofRaw.ranking).toEqual(ofWhitened.ranking)
    const plain = await nas(set, optionsOf(small))
    expect(plain.ranking).not.toEqual(ofRaw.ranking)
    await expect(nas(set, optionsOf({ data: whitened }))).rejects.toMatchObject({ code: 'invalid_data', message: /not whitened/ })
  })

  it('refuses a network that does not fit into memory before anything trains', async () => {
    const little = await Device.open({ threads: 1, memory: 1 << 20 })
    const search = nas(set, optionsOf({ device: little, onProgress: () => expect.unreachable() }))
    await expect(search).rejects.toMatchObject({ code: 'out_of_memory', message: expect.stringContaining('nas: ') })
    await little.close()
  })
})

const fieldsOf = ({ save: _, ...fields }: SyntheticSet) => fields

describe('bad input', () => {
  const classes = (count: number) => Array.from({ length: count }, (_, i) => `class ${i}`)
  const images = (side: number, count: number): Dataset =>
    createDataset({
      ...{ name: 'other', split: 'test' as const, classes: classes(count), images: new Uint8Array(count * side * side), flip: false },
      ...{ shape: [count, side, side, 1] as const, labels: Int32Array.from({ length: count }, (_, i) => i), mean: [0.5], std: [0.5] },
    })

  it.each([
    ['a sample above the space', () => ({ sample: 9 }), 'invalid_option', 'at most the 8'],
    ['an empty axis', () => ({ space: { ...space, norm: [] } }), 'invalid_option', 'norm'],
    ['one network', () => ({ space: { ...space, width: [4], depth: [1], norm: ['none' as const] } }), 'invalid_option', 'nothing to rank'],
    [
      'a network too deep for the images',
      () => ({ space: { ...space, depth: [1, 6] } }),
      'invalid_option',
      'convnet-w4-d6-instance-relu-avg',
    ],
    ['data of other classes', () => ({ data: images(28, 7) }), 'invalid_data', '10 classes'],
    ['test images of other names', () => ({ test: images(28, 10) }), 'invalid_data', 'Trouser'],
    ['images of another size', () => ({ test: images(8, 10) }), 'invalid_data', '[28, 28, 1]'],
    ['a class with fewer images than the set has', () => ({ data: some(data, 1) }), 'invalid_data', "leave 'random' out"],
    ['a baseline that is none', () => ({ baselines: ['herding' as never] }), 'invalid_option', 'herding'],
    ['a share above 1', () => ({ top: 1.5 }), 'invalid_option', 'top'],
    ['no repetition', () => ({ repeats: 0 }), 'invalid_option', 'repeats'],
    ['no epochs', () => ({ epochs: 0 }), 'invalid_option', 'epochs'],
    ['an option that is none', () => ({ samples: 3 }), 'invalid_option', 'sample'],
    ['no test images', () => ({ test: undefined as never }), 'invalid_option', 'test'],
  ] as [string, () => object, string, string][])('refuses %s', async (_, change, code, message) => {
    const search = nas(set, optionsOf({ ...change(), onProgress: () => expect.unreachable() }))
    await expect(search).rejects.toMatchObject({ code, message: expect.stringContaining(message) })
  })

  it('refuses a set of one class', async () => {
    const one = data.subset(data.classIndices(0))
    const alone = createDataset({ ...one, classes: [data.classes[0]], labels: new Int32Array(one.shape[0]) })
    const search = nas(randomRealSet(alone, 2, 7), optionsOf({ data: alone, test: alone }))
    await expect(search).rejects.toMatchObject({ code: 'invalid_data', message: /nas: set: expected images of at least two classes/ })
  })

  it('refuses a set without labels', async () => {
    const { labels: _, ...unlabelled } = fieldsOf(set)
    await expect(nas(unlabelled as SyntheticSet, optionsOf())).rejects.toMatchObject({ code: 'invalid_data', message: /class labels/ })
    await expect(nas(undefined as never, optionsOf())).rejects.toMatchObject({ code: 'invalid_data' })
  })
})

describe('aludel nas', () => {
  it('says what it will do, does it, and prints one JSON value', async () => {
    const dir = join(freshDir(), 'set')
    const whole = await fashionMnist(bundledFashionMnist, 'train')
    await randomRealSet(whole, 1, 3).save(dir)
    const axes = '--width 4 --depth 1,2 --norm none --activation leaky_relu --pooling max'.split(' ')
    const options = [...axes, ...'--no-baseline --repeats 1 --epochs 2 --full-epochs 1 --augment none --threads 2 --device cpu'.split(' ')]
    const base = ['nas', dir, '--data', `fashion-mnist:${bundledFashionMnist}`, ...options]
    const planned = await run(library, ...base, '--plan', '--json')
    expect(JSON.parse(planned.stdout)).toMatchObject({ architectures: 2, sample: 2 })
    const { code, stdout, stderr } = await run(library, ...base, '--json')
    expect(code, stderr).toBe(0)
    expect(stdout.trim().split('\n')).toHaveLength(1)
    const result = JSON.parse(stdout)
    expect(result.ranking).toHaveLength(2)
    expect(result.ranking[0].activation).toBe('leakyrelu')
    expect(stderr).toMatch(/full +2 trainings/)
    expect(stderr).toMatch(/nas, % of the work .*left/)
    expect(JSON.parse(readFileSync(join(dir, 'nas.json'), 'utf8')).cells).toHaveLength(4)
    const again = await run(library, ...base)
    expect(again.stdout).toMatch(/distilled .*\nfull/)
    expect((await run(library, ...base, '--sample', '5')).code).toBe(2)
    expect((await run(library, ...base, '--pooling', 'mean')).code).toBe(2)
  })

  it('takes the space from a file, and refuses one that is none, and a set without labels', async () => {
    const dir = freshDir()
    await set.save(join(dir, 'set'))
    const args = (name: string, text: string) => {
      const path = join(dir, name)
      writeFileSync(path, text)
      return ['nas', join(dir, 'set'), '--data', `fashion-mnist:${bundledFashionMnist}`, '--device', 'cpu', '--space', path]
    }
    const refused = async (code: number, message: RegExp, name: string, text: string, ...more: string[]) => {
      const { stderr, ...ended } = await run(library, ...args(name, text), ...more)
      expect(ended.code, stderr).toBe(code)
      expect(stderr).toMatch(message)
    }
    await refused(1, /not JSON/, 'a.json', '{')
    await refused(1, /object/, 'b.json', '[1]')
    await refused(2, /kernel/, 'c.json', '{ "kernel": [3] }')
    await refused(2, /'3'/, 'd.json', '{ "depth": ["3"] }')
    await refused(2, /--width/, 'e.json', '{}', '--width', '4')
    const json = JSON.stringify({ width: [4], depth: [1], norm: ['none'], activation: ['relu'], pooling: ['avg', 'max', 'none'] })
    const planned = await run(library, ...args('f.json', json), '--plan', '--json')
    expect(JSON.parse(planned.stdout)).toMatchObject({ architectures: 3 })
    expect(existsSync(join(dir, 'set', 'nas.json'))).toBe(false)
    const teacher = { name: 't', objective: 'none', dim: 2, sha256: '0'.repeat(64) }
    const unlabelled = createRepresentationSet({
      ...{
        images: new Float32Array(2 * 64),
        shape: [2, 8, 8, 1],
        targets: new Float32Array(4),
        dim: 2,
        mean: [0.5],
        std: [0.5],
        initSpace: 'raw',
      },
      ...{ teacher, source: { name: 's', split: 'train', sha256: '00' }, config: {} },
      targetStatistics: { mean: new Float32Array(2), std: new Float32Array(2) },
    })
    await unlabelled.save(join(dir, 'unlabelled'))
    const { code, stderr } = await run(library, 'nas', join(dir, 'unlabelled'), '--data', `fashion-mnist:${bundledFashionMnist}`)
    expect(code).toBe(1)
    expect(stderr).toMatch(/class labels/)
  })
})
