/** @file Distribution matching: the method contract, then its settings, events and evaluation on a synthetic data set. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDataset } from '../../src/data/index.js'
import { distill } from '../../src/distill/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { evaluate, randomRealSet } from '../../src/evaluate/index.js'
import type { DistillSettings, RunEvent } from '../../src/experiment/types.js'
import { runOn, stripes, testMethod } from './contract.js'

testMethod('dm')

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const dataset = stripes([9, 8, 10])
const settings: DistillSettings = { method: 'dm', ipc: 2, iterations: 4, realBatch: 5, seed: 1 }

const losses = (events: readonly RunEvent[]) => events.flatMap((event) => (event.type === 'step' ? [event.loss] : []))
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length

describe('dm: settings', () => {
  it.each([
    ['batch norm', { network: 'convnet-bn' }],
    ['batch norm and classes smaller than the real batch', { network: 'convnet-bn', realBatch: 9 }],
    ['noise to start from', { init: 'noise', ipc: 3 }],
    ['no augmentation', { augment: 'none' }],
    ['all augmentations', { augment: 'dsa' }],
    ['a list of augmentations', { augment: 'color_crop_flip' }],
    ['one augmentation', { augment: 'rotate' }],
    ['a real batch of one', { realBatch: 1, ipc: 1 }],
    ['the largest plain seed', { seed: 2 ** 53 - 1 }],
  ] as const)('%s: finite, moved, and the same bits at 1 and 3 threads', async (_, changes) => {
    const [one, three] = [await runOn(dataset, { ...settings, ...changes }, 1), await runOn(dataset, { ...settings, ...changes }, 3)]
    expect(losses(one.events)).toHaveLength(4)
    expect(losses(one.events).every((loss) => Number.isFinite(loss) && loss > 0)).toBe(true)
    expect(three.set.images).toEqual(one.set.images)
    expect(losses(three.events)).toEqual(losses(one.events))
    expect(new Set(one.set.images).size).toBeGreaterThan(100)
  })

  it('every setting is in the start event and in the set, resolved', async () => {
    const { events, set } = await runOn(dataset, settings, 1)
    const resolved = {
      method: 'dm',
      preset: 'code',
      ipc: 2,
      realBatch: 5,
      imageLr: 1,
      imageMomentum: 0.5,
      init: 'real',
      augment: 'dsa',
      network: 'convnet',
      seed: 1,
    }
    expect(events[0]).toMatchObject({ type: 'start', config: { ...resolved, iterations: 4, dataSha256: dataset.sha256 } })
    expect(set.config).toMatchObject({ ...resolved, steps: 4 })
    const rows = [...(set.sourceIds as Int32Array)]
    expect(rows.map((row) => dataset.labels[row])).toEqual([0, 0, 1, 1, 2, 2])
  })
})

describe('dm: a run', () => {
  it('gives the same bits read or unread, in one run or from a longer one stopped', async () => {
    const unread = await distill(dataset, { ...settings, device }).result
    const { set, events } = await runOn(dataset, settings, 3)
    expect(unread.images).toEqual(set.images)
    const longer = await runOn(dataset, { ...settings, iterations: 6 }, 1)
    expect(losses(longer.events).slice(0, 4)).toEqual(losses(events))
    const stopped = distill(dataset, { ...settings, iterations: 100_000, device })
    const seen: RunEvent[] = []
    for await (const event of stopped) {
      seen.push(event)
      if (event.type === 'step' && event.step === 1) stopped.stop()
    }
    const last = seen.at(-1)
    expect(last).toMatchObject({ type: 'done', stopped: true })
    const same = await distill(dataset, { ...settings, iterations: last?.type === 'done' ? last.step : 0, device }).result
    expect((await stopped.result).images).toEqual(same.images)
  })

  it('tells every reader the same, in order, also one that comes late', async () => {
    const run = distill(dataset, { ...settings, iterations: 30, device })
    const read = async (): Promise<RunEvent[]> => {
      const events: RunEvent[] = []
      for await (const event of run) events.push(event)
      return events
    }
    const [a, b] = await Promise.all([read(), read()])
    expect(a).toEqual(b)
    expect(a.map(({ type }) => type)).toEqual(['start', ...new Array(30).fill('step'), 'done'])
    expect(a.flatMap((event) => (event.type === 'step' ? [event.step] : []))).toEqual(Array.from({ length: 30 }, (_, i) => i + 1))
    const seconds = a.flatMap((event) => (event.type === 'step' || event.type === 'done' ? [event.seconds] : []))
    expect(seconds).toEqual([...seconds].sort((x, y) => x - y))
    const late = await read()
    expect(late[0]).toEqual(a[0])
    expect(late.at(-1)).toEqual(a.at(-1))
  })

  it('ends readers with the reason of an abort', async () => {
    const controller = new AbortController()
    const run = distill(dataset, { ...settings, iterations: 100_000, device, signal: controller.signal })
    const reason = new Error('enough')
    const read = (async () => {
      for await (const event of run) if (event.type === 'step') controller.abort(reason)
    })()
    await expect(read).rejects.toMatchObject({ name: 'AbortError', cause: reason })
    await expect(run.result).rejects.toMatchObject({ name: 'AbortError', cause: reason })
    expect(device.memory()).toMatchObject({ arrayBytes: 0, constantBytes: 0 })
  })

  it('runs beside another on one device without a difference', async () => {
    const alone = await distill(dataset, { ...settings, device }).result
    const runs = [0, 1].map(() => distill(dataset, { ...settings, device }).result)
    for (const { images } of await Promise.all(runs)) expect(images).toEqual(alone.images)
  })

  it('divides by the true count of a small class: copies of its images change nothing', async () => {
    // Class 1 has 3 images. Twice in the set, with a batch that takes them all, they have the same mean.
    const small = stripes([6, 3, 6])
    const twice = createDataset({ ...small.subset([...Array(15).keys(), 6, 7, 8]), name: 'twice' })
    const change = { ...settings, realBatch: 6, augment: 'none', iterations: 1, ipc: 1, init: 'noise' } as const
    const [a, b] = [await runOn(small, change, 1), await runOn(twice, change, 1)]
    const [loss] = losses(a.events)
    expect(Math.abs(loss - losses(b.events)[0])).toBeLessThan(1e-5 * loss)
    const difference = a.set.images.map((v, i) => Math.abs(v - b.set.images[i]))
    expect(Math.max(...difference)).toBeLessThan(1e-4)
  })
})

describe('dm: evaluation', () => {
  it('trains two networks on the distilled set to more than chance, the same at any thread count', async () => {
    const train = stripes([40, 40, 40])
    const run = distill(train, { ...settings, iterations: 30, init: 'noise', augment: 'none', realBatch: 20, device })
    const all: number[] = []
    for await (const event of run) if (event.type === 'step') all.push(event.loss)
    expect(mean(all.slice(-5))).toBeLessThan(0.8 * mean(all.slice(0, 5)))
    const set = await run.result
    const progress: number[] = []
    const options = { networks: ['convnet'], repeats: 2, epochs: 30, augment: 'none', test: train, seed: 5 }
    const results = await evaluate(set, { ...options, device, onProgress: ({ epoch }) => progress.push(epoch) })
    expect(results).toMatchObject([{ network: 'convnet', n: 2 }])
    const [{ mean: accuracy, values, std }] = results
    expect(values).toHaveLength(2)
    expect(accuracy).toBeGreaterThan(60)
    expect(std).toBeCloseTo(Math.abs(values[0] - values[1]) / 2, 9)
    expect(progress.at(-1)).toBe(31)
    const other = await Device.open({ threads: 3 })
    expect(await evaluate(set, { ...options, device: other })).toEqual(results)
    await other.close()
  })

  it('gives the first network of a group the accuracy that it has alone, with instance and with batch norm', async () => {
    const set = randomRealSet(dataset, 3, 4)
    const options = { networks: ['convnet-bn', 'convnet'], epochs: 5, augment: 'dsa', test: dataset, device }
    const [batch, instance] = await evaluate(set, { ...options, repeats: 2 })
    const alone = await evaluate(set, { ...options, repeats: 1 })
    expect(alone.map(({ values }) => values)).toEqual([[batch.values[0]], [instance.values[0]]])
    expect(await evaluate(set, { ...options, repeats: 2 })).toEqual([batch, instance])
  })
})
