/** @file Sets larger than memory: rows from the disk, groups of classes and parts of the classes give the bits of the whole run in memory. */
import { beforeAll, describe, expect, it } from 'vitest'
import { createDataset, type Dataset, openPacked } from '../../src/data/index.js'
import { packDataset } from '../../src/data/packed/pack-dataset.js'
import { distill } from '../../src/distill/index.js'
import type { Device } from '../../src/engine/runtime/device.js'
import { openDevice } from '../../src/engine/runtime/open-device.js'
import { nearestReal } from '../../src/evaluate/nearest-real.js'
import type { DistillSettings } from '../../src/experiment/types.js'
import { planRun } from '../../src/plan/plan.js'
import { createSubset, selectSamples } from '../../src/prune/index.js'
import { applySubset, openSubset } from '../../src/prune/subset.js'
import { expectError, freshDir } from '../unit/data/fixtures.js'

const side = 16
/** Six classes of unequal size: some have fewer images than a real batch. */
const sizes = [9, 14, 12, 5, 11, 13]

let device: Device
let memory: Dataset
let disk: Dataset

beforeAll(async () => {
  device = await openDevice({ threads: 2 })
  const labels = sizes.flatMap((size, c) => new Array<number>(size).fill(c))
  let state = 1
  const images = Uint8Array.from({ length: labels.length * side * side * 3 }, () => {
    state = (state * 1103515245 + 12345) % 2 ** 31
    return state >> 16
  })
  memory = createDataset({
    ...{ name: 'noise', split: 'train', classes: sizes.map((_, c) => `class ${c}`), images, labels, flip: true },
    ...{ shape: [labels.length, side, side, 3], mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.25] },
  })
  const dir = freshDir()
  await packDataset(dir, memory)
  disk = await openPacked(dir, 'train', { resident: false })
  return () => device.close()
})

type Given = Partial<DistillSettings>

async function run(data: Dataset, given: Given) {
  const settings = { method: 'dm', ipc: 2, iterations: 3, realBatch: 10, ...given }
  const losses: number[] = []
  const plans: string[] = []
  const distillation = distill(data, { device, ...settings })
  for await (const event of distillation) {
    if (event.type === 'step') losses.push(event.loss)
    if (event.type === 'start') plans.push(...Object.keys(event.plans ?? {}))
  }
  const { images, labels, sourceIds, config } = await distillation.result
  return { images, labels, sourceIds, config, losses, plans }
}

const settings: [string, Given][] = [
  ['dm', { method: 'dm', ipc: 3 }],
  ['dm from noise, one image a class', { method: 'dm', ipc: 1, init: 'noise', realBatch: 7 }],
  ['datadam', { method: 'datadam', preset: 'paper', realBatch: 4 }],
  ['atom without augmentation', { method: 'atom', augment: 'none', realBatch: 13 }],
]

describe.each(settings)('%s', (_, given) => {
  it('gives the same bits from the disk', async () => {
    const whole = await run(memory, given)
    expect(await run(disk, given)).toEqual(whole)
  })

  it('gives the same bits in parts of the classes, from memory and from the disk', async () => {
    const whole = await run(memory, given)
    for (const [of, data] of [
      [2, memory],
      [4, memory],
      [6, disk],
    ] as const) {
      const parts = await Promise.all(Array.from({ length: of }, (_, i) => run(data, { ...given, shard: { index: i + 1, of } })))
      expect(parts.flatMap(({ labels }) => [...labels])).toEqual([...whole.labels])
      expect(parts.flatMap(({ sourceIds }) => [...(sourceIds ?? [])])).toEqual([...(whole.sourceIds ?? [])])
      expect(parts.flatMap(({ images }) => [...images])).toEqual([...whole.images])
      expect(parts[1].config).toEqual({ ...whole.config, shard: `2/${of}` })
    }
  })

  it('goes group by group, from memory, from the disk and in parts', async () => {
    const whole = await run(memory, { ...given, iterations: 1 })
    const first = await run(memory, { ...given, iterations: 1, classGroup: 2 })
    expect(first.plans).toEqual(['step of 2 classes'])
    // slices hold other images together, so that sums are rounded elsewhere
    const scale = Math.max(...whole.images.map(Math.abs))
    for (const [i, value] of first.images.entries()) expect(Math.abs(value - whole.images[i])).toBeLessThan(1e-3 * scale)
    expect(first.losses[0]).toBeCloseTo(whole.losses[0], 1)
    const grouped = await run(memory, { ...given, classGroup: 2 })
    expect(await run(disk, { ...given, classGroup: 2 })).toEqual(grouped)
    const parts = await Promise.all(
      [1, 2, 3].map((index) => run(index === 2 ? disk : memory, { ...given, classGroup: 2, shard: { index, of: 3 } })),
    )
    expect(parts.flatMap(({ images }) => [...images])).toEqual([...grouped.images])
  })
})

it('reads the rows of a network with batch norm from the disk', async () => {
  const given = { method: 'datadam', preset: 'code', realBatch: 4 }
  expect(await run(disk, given)).toEqual(await run(memory, given))
})

it('does not go by threads', async () => {
  const one = await openDevice({ threads: 1 })
  try {
    const alone = distill(disk, { device: one, method: 'dm', ipc: 2, iterations: 3, realBatch: 10, classGroup: 3 })
    expect((await alone.result).images).toEqual((await run(disk, { classGroup: 3 })).images)
  } finally {
    await one.close()
  }
})

it('ends when it is aborted, and leaves the device usable', async () => {
  const abort = new AbortController()
  const distillation = distill(disk, { device, method: 'dm', ipc: 1, iterations: 1000, realBatch: 10, classGroup: 1, signal: abort.signal })
  const seen = (async () => {
    for await (const event of distillation) if (event.type === 'step' && event.step === 2) abort.abort()
  })()
  await expect(seen).rejects.toMatchObject({ code: 'aborted' })
  await expect(distillation.result).rejects.toMatchObject({ code: 'aborted' })
  expect((await run(disk, {})).images).toEqual((await run(memory, {})).images)
})

it.each<[string, Given, RegExp]>([
  ['a gradient method in parts', { method: 'dc', shard: { index: 1, of: 2 } }, /dc trains one network on the images of all classes/],
  ['a gradient method by groups', { method: 'dsa', classGroup: 2 }, /dsa trains one network/],
  ['batch norm in parts', { network: 'convnet-bn', shard: { index: 1, of: 2 } }, /under batch norm/],
  ['batch norm by groups', { network: 'convnet-bn', classGroup: 2 }, /instance norm/],
  ['dynamic pruning in parts', { dynamic: {}, shard: { index: 1, of: 2 } }, /dynamic pruning/],
  ['going back in parts', { onDivergence: 'rollback', shard: { index: 1, of: 2 } }, /goes back/],
  ['a group that does not divide', { classGroup: 4 }, /divides the 6 classes/],
  ['a part that is not there', { shard: { index: 3, of: 2 } }, /1 <= index <= of/],
  ['more parts than classes', { shard: { index: 1, of: 7 } }, /at most the 6 classes/],
])('refuses %s', (_, given, message) => expectError(() => run(memory, given), 'invalid_option', message))

it('refuses more parts than groups, and what cannot read rows from the disk', async () => {
  await expectError(() => run(memory, { classGroup: 3, shard: { index: 1, of: 3 } }), 'invalid_option', /at most 2 parts/)
  await expectError(() => run(disk, { method: 'dc' }), 'invalid_option', /dc draws its batches.*resident=yes/)
  await expectError(() => run(disk, { dynamic: {} }), 'invalid_option', /dynamic pruning.*resident=yes/)
})

it('finds the same nearest images from the disk', async () => {
  const images = memory.subset([3, 40, 63]).images.map((u) => 255 - (u >> 1))
  expect(await nearestReal(images, disk, { device })).toEqual(await nearestReal(images, memory, { device }))
})

it('takes the subset of a pack as that of the data set', async () => {
  const selection = await selectSamples(memory, { order: 'random', keep: 0.5, minimumPerClass: 2 })
  const subset = createSubset(memory, selection, null)
  const [whole, streamed] = [applySubset(memory, subset), await openSubset(disk, subset)]
  expect([streamed.sha256, streamed.part]).toEqual([whole.sha256, whole.part])
  expect(await run(streamed, {})).toEqual(await run(whole, {}))
})

it('plans the ring in place of the data set, and a group in place of all classes', async () => {
  const plan = (data: Dataset, given: Given = {}) => planRun(data, { device, method: 'dm', ipc: 1, realBatch: 10, ...given })
  const [whole, streamed, grouped] = [await plan(memory), await plan(disk), await plan(disk, { classGroup: 1 })]
  expect([whole.dataBytes, streamed.dataBytes]).toEqual([memory.images.length, 0])
  const ring = 2 * 10 * side * side * 3
  expect(streamed.phases[0].bytes.arrays - grouped.phases[0].bytes.arrays).toBeGreaterThanOrEqual(5 * ring)
  expect(grouped.phases[0].bytes.workspace).toBeLessThan(streamed.phases[0].bytes.workspace)
})
