/** @file What every matching method must do through the public loop, on a data set that distils in a second. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDataset, type Dataset } from '../../src/data/dataset.js'
import { distill } from '../../src/distill/loop.js'
import { Device } from '../../src/engine/runtime/device.js'
import { keyOf } from '../../src/engine/tensor/key.js'
import { uniform } from '../../src/engine/tensor/philox.js'
import type { Checkpoint, CheckpointStore, DistillOptions, DistillSettings, RunEvent, SyntheticSet } from '../../src/experiment/types.js'

const side = 12
const channels = 3

/** Classes that differ by a bright stripe under noise; `counts` images each. */
export function stripes(counts: readonly number[], std = 0.2): Dataset {
  const labels = Int32Array.from(counts.flatMap((count, c) => Array<number>(count).fill(c)))
  const pixels = side * side * channels
  const images = Uint8Array.from(uniform(keyOf(7), 0, 1, labels.length * pixels), (u) => Math.floor(u * 120))
  labels.forEach((label, n) => {
    const row = n * pixels + (2 + 3 * label) * side * channels
    for (let i = 0; i < side * channels; i++) images[row + i] += 120
  })
  const classes = counts.map((_, c) => `stripe ${c}`)
  const statistics = { mean: Array<number>(channels).fill(0.3), std: Array<number>(channels).fill(std) }
  return createDataset({
    name: 'stripes',
    split: 'train',
    classes,
    images,
    shape: [labels.length, side, side, channels],
    labels,
    ...statistics,
    flip: true,
  })
}

interface Outcome {
  readonly set: SyntheticSet
  readonly events: readonly RunEvent[]
}

type Keeping = Pick<DistillOptions, 'checkpoints' | 'checkpointEvery'>

/** Checkpoints that last as long as the test. */
export function memoryStore(): CheckpointStore & { readonly saved: Checkpoint[] } {
  const saved: Checkpoint[] = []
  return {
    saved,
    async save(checkpoint) {
      saved.push(structuredClone(checkpoint))
    },
    async load() {
      const checkpoint = saved.at(-1)
      return checkpoint && { checkpoint, damaged: [] }
    },
  }
}

/** One whole run on a device of its own. */
export async function runOn(dataset: Dataset, settings: DistillSettings, threads: number, options: Keeping = {}): Promise<Outcome> {
  const device = await Device.open({ threads })
  try {
    const run = distill(dataset, { ...settings, ...options, device })
    const events: RunEvent[] = []
    for await (const event of run) events.push(event)
    return { set: await run.result, events }
  } finally {
    await device.close()
  }
}

const losses = (events: readonly RunEvent[]) => events.flatMap((event) => (event.type === 'step' ? [event.loss] : []))

export function testMethod(method: string, options: Partial<DistillSettings> = {}): void {
  const settings: DistillSettings = { method, ipc: 2, iterations: 5, realBatch: 6, seed: 3, augment: 'dsa', ...options }
  const dataset = stripes([8, 9, 7])

  describe(`${method}: the method contract`, () => {
    let first: Outcome
    beforeAll(async () => {
      first = await runOn(dataset, settings, 1)
    })

    it('reports a start, every step in order with a finite loss, and the end', () => {
      const { events } = first
      expect(events[0]).toMatchObject({ type: 'start', iterations: 5, classes: 3 })
      expect(events.flatMap((event) => (event.type === 'step' ? [event.step] : []))).toEqual([1, 2, 3, 4, 5])
      expect(losses(events).every(Number.isFinite)).toBe(true)
      expect(events.at(-1)).toMatchObject({ type: 'done', step: 5, stopped: false })
    })

    it('gives class-major images that have moved from their start', async () => {
      const { set } = first
      expect(set.shape).toEqual([6, side, side, channels])
      expect([...set.labels]).toEqual([0, 0, 1, 1, 2, 2])
      const start = await runOn(dataset, { ...settings, iterations: 1, imageLr: 1e-12 }, 1)
      expect(set.images).not.toEqual(start.set.images)
      expect(set.images.every(Number.isFinite)).toBe(true)
    })

    it('gives the same bits at 2 and 3 threads', async () => {
      for (const threads of [2, 3]) {
        const other = await runOn(dataset, settings, threads)
        expect(other.set.images).toEqual(first.set.images)
        expect(losses(other.events)).toEqual(losses(first.events))
      }
    })

    it('continues from a checkpoint of any step to the same bits', async () => {
      for (const reached of [1, 3]) {
        const store = memoryStore()
        const begun = await runOn(dataset, { ...settings, iterations: reached }, 2, { checkpoints: store })
        expect(losses(begun.events)).toEqual(losses(first.events).slice(0, reached))
        const { set, events } = await runOn(dataset, settings, 3, { checkpoints: store, checkpointEvery: 2 })
        expect(events[0]).toMatchObject({ type: 'start', step: reached })
        expect(losses(events)).toEqual(losses(first.events).slice(reached))
        expect(set.images).toEqual(first.set.images)
        expect(set.config).toEqual(first.set.config)
        expect((await store.load())?.checkpoint.counters.step).toBe(settings.iterations)
      }
    })

    it('gives other images from another seed', async () => {
      const other = await runOn(dataset, { ...settings, seed: 4 }, 1)
      expect(other.set.images).not.toEqual(first.set.images)
    })

    it('brings the loss down on images that start as noise', async () => {
      const { events } = await runOn(dataset, { ...settings, init: 'noise', augment: 'none', iterations: 60, realBatch: 7 }, 2)
      const all = losses(events)
      const average = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length
      expect(average(all.slice(-10))).toBeLessThan(0.7 * average(all.slice(0, 10)))
    })

    it('runs with classes smaller than the real batch and divides by their true counts', async () => {
      const { events, set } = await runOn(stripes([8, 3, 5]), settings, 1)
      expect(losses(events).every(Number.isFinite)).toBe(true)
      expect(set.images.every(Number.isFinite)).toBe(true)
    })
  })

  describe(`${method}: a run that does not end well`, () => {
    let device: Device
    beforeAll(async () => {
      device = await Device.open({ threads: 1 })
    })
    afterAll(() => device.close())

    it.each([
      ['ipc 0', { ipc: 0 }, 'invalid_option'],
      ['more images per class than there are', { ipc: 50, init: 'real' }, 'invalid_option'],
      ['an unknown network', { network: 'no-such-net' }, 'not_found'],
      ['an unknown augmentation', { augment: 'blur' }, 'invalid_option'],
      ['a learning rate of NaN', { imageLr: Number.NaN }, 'invalid_option'],
      ['an unknown preset', { preset: 'toString' }, 'not_found'],
      ['an option it does not have', { methodOptions: { toString: 1 } }, 'invalid_option'],
    ] as const)('refuses %s before it starts', (_, wrong, code) => {
      expect(() => distill(dataset, { ...settings, ...wrong, device })).toThrow(expect.objectContaining({ code }))
    })

    it('rejects with AbortError when aborted, and the device can be used again', async () => {
      const controller = new AbortController()
      const run = distill(dataset, { ...settings, iterations: 100_000, device, signal: controller.signal })
      setTimeout(() => controller.abort(), 100)
      await expect(run.result).rejects.toMatchObject({ name: 'AbortError' })
      const again = distill(dataset, { ...settings, iterations: 1, device })
      expect((await again.result).images.every(Number.isFinite)).toBe(true)
    })

    it('stops after the step at hand when asked to', async () => {
      const run = distill(dataset, { ...settings, iterations: 100_000, device })
      setTimeout(() => run.stop(), 100)
      const events: RunEvent[] = []
      for await (const event of run) events.push(event)
      expect(events.at(-1)).toMatchObject({ type: 'done', stopped: true })
      expect((await run.result).images.every(Number.isFinite)).toBe(true)
    })

    it('names the step whose loss is not finite', async () => {
      // Pixels over this deviation overflow float32.
      const run = distill(stripes([8, 9, 7], 1e-43), { ...settings, device })
      await expect(run.result).rejects.toMatchObject({
        code: 'not_finite',
        message: expect.stringMatching(/loss of step 1 .*look at the normalisation of the data/),
      })
    })
  })
}
