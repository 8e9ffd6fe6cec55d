/** @file Runs that continue, go back or refuse to: through the library, on a device, with checkpoints in memory and on the disk. */
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { distill } from '../../src/distill/loop.js'
import { Device } from '../../src/engine/runtime/device.js'
import { checkpointStore } from '../../src/experiment/checkpoint-store.js'
import type { CheckpointStore, DistillOptions, RunEvent } from '../../src/experiment/types.js'
import { freshDir } from '../unit/data/fixtures.js'
import { memoryStore, stripes } from './contract.js'

const dataset = stripes([8, 9, 7])
let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const settings = { method: 'dm', ipc: 2, iterations: 12, realBatch: 6, seed: 3, augment: 'dsa', network: 'mlp' } as const

interface Options extends Partial<DistillOptions> {
  /** Stops the run when this step has been done. */
  readonly stopAt?: number
}

async function run({ stopAt, ...options }: Options = {}, data = dataset) {
  const distillation = distill(data, { ...settings, device, ...options } as DistillOptions<Device>)
  const events: RunEvent[] = []
  for await (const event of distillation) {
    events.push(event)
    if (event.type === 'step' && event.step === stopAt) distillation.stop()
  }
  const set = await distillation.result
  return { set, events, images: set.images }
}

const stepsOf = (events: readonly RunEvent[]) => events.flatMap((event) => (event.type === 'step' ? [event.step] : []))
const rollbacksOf = (events: readonly RunEvent[]) => events.flatMap((event) => (event.type === 'rollback' ? [event] : []))

describe('checkpoints', () => {
  it('come every so many steps and at the end, and change nothing', async () => {
    const store = memoryStore()
    const { images } = await run({ checkpoints: store, checkpointEvery: 5 })
    expect(store.saved.map(({ counters }) => counters.step)).toEqual([5, 10, 12])
    expect(images).toEqual((await run()).images)
  })

  it('hold the state of their step, whatever runs meanwhile', async () => {
    const store = memoryStore()
    // a save that takes its time: steps go on
    const slow: CheckpointStore = {
      load: store.load,
      save: async (checkpoint) => {
        await new Promise((resolve) => setTimeout(resolve, 20))
        await store.save(checkpoint)
      },
    }
    await run({ checkpoints: slow, checkpointEvery: 3 })
    expect(store.saved.map(({ counters }) => counters.step)).toEqual([3, 6, 9, 12])
    for (const { counters, tensors } of store.saved) {
      const { images } = await run({ iterations: counters.step })
      expect(tensors.images.data).toEqual(images)
    }
  })

  it('continue a run that was stopped, one that was aborted, and one that is extended', async () => {
    const whole = await run()
    const store = memoryStore()
    const stopped = await run({ checkpoints: store, stopAt: 1 })
    const { step } = store.saved.at(-1)!.counters
    expect(stopped.events.at(-1)).toMatchObject({ type: 'done', step, stopped: true })
    const controller = new AbortController()
    const aborted = distill(dataset, { ...settings, device, checkpoints: store, checkpointEvery: 2, signal: controller.signal })
    const reason = expect(aborted.result).rejects.toMatchObject({ name: 'AbortError' })
    for await (const event of aborted) if (event.type === 'step' && event.step >= step + 3) break
    controller.abort()
    await reason
    const { images, events } = await run({ checkpoints: store })
    expect(stepsOf(events).at(-1)).toBe(12)
    expect(images).toEqual(whole.images)
    const again = await run({ checkpoints: store })
    expect([stepsOf(again.events), again.images]).toEqual([[], whole.images])
    const longer = await run({ checkpoints: store, iterations: 20 })
    expect(stepsOf(longer.events)).toEqual([13, 14, 15, 16, 17, 18, 19, 20])
    expect(longer.images).toEqual((await run({ iterations: 20 })).images)
  })

  it('count seconds on', async () => {
    const store = memoryStore()
    await run({ checkpoints: store, iterations: 6 })
    const [before] = store.saved.slice(-1)
    const { events } = await run({ checkpoints: store })
    const first = events.find((event) => event.type === 'step')
    expect(first?.type === 'step' && first.seconds).toBeGreaterThan(before.seconds)
  })

  it('fall back to the one before when the newest is damaged, anywhere, and say so', async () => {
    const whole = await run()
    const source = freshDir()
    await run({ checkpoints: checkpointStore(source), iterations: 8, checkpointEvery: 4 })
    const [before, newest] = readdirSync(source).sort()
    const bytes = new Uint8Array(readFileSync(join(source, newest)))
    for (let at = 0; at < bytes.length; at += 4096) {
      const changed = bytes.slice()
      changed[at] ^= 0x10
      for (const damaged of [changed, bytes.subarray(0, at)]) {
        const dir = freshDir()
        copyFileSync(join(source, before), join(dir, before))
        writeFileSync(join(dir, newest), damaged)
        const { events, images } = await run({ checkpoints: checkpointStore(dir) })
        expect(events.slice(0, 2)).toMatchObject([
          { type: 'start', step: 4 },
          { type: 'notice', message: expect.stringContaining(newest) },
        ])
        expect(images).toEqual(whole.images)
      }
    }
  })

  it.each<[string, Options, string, RegExp]>([
    ['another seed', { seed: 4 }, 'incompatible', /seed is 3 there but 4 here/],
    ['another learning rate', { imageLr: 0.5 }, 'incompatible', /imageLr/],
    ['another network', { network: 'convnet' }, 'incompatible', /network is "mlp" there but "convnet" here/],
    ['fewer steps than it has done', { iterations: 7 }, 'invalid_option', /iterations: expected at least 12/],
    ['steps of no number', { checkpointEvery: 0 }, 'invalid_option', /checkpointEvery: expected a whole number >= 1 but received 0/],
  ])('are not continued with %s', async (_, change, code, message) => {
    const store = memoryStore()
    await run({ checkpoints: store })
    await expect(run({ checkpoints: store, ...change })).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
    expect(store.saved).toHaveLength(1)
  })

  it('are not continued on other data, plans, instruction sets or state', async () => {
    const store = memoryStore()
    await run({ checkpoints: store })
    const others: [typeof dataset, RegExp][] = [
      [stripes([8, 9, 8]), /dataSha256 is ".*" there/],
      [stripes([8, 9, 7], 0.3), /std of the data is \[0\.2,0\.2,0\.2\] there but \[0\.3,0\.3,0\.3\] here/],
    ]
    for (const [data, message] of others) {
      await expect(run({ checkpoints: store }, data)).rejects.toMatchObject({
        code: 'incompatible',
        message: expect.stringMatching(message),
      })
    }
    const [checkpoint] = store.saved
    const { step } = checkpoint.plans
    const changed = (change: object): CheckpointStore => ({
      ...store,
      load: async () => ({ checkpoint: { ...checkpoint, ...change }, damaged: [] }),
    })
    const refused = (change: object, message: RegExp) =>
      expect(run({ checkpoints: changed(change) })).rejects.toMatchObject({ code: 'incompatible', message: expect.stringMatching(message) })
    await refused(
      { plans: { step: { ...step, isa: 'wide16' } } },
      /instruction set of 'step': expected wide16.* open the device with isa 'wide16'/,
    )
    await refused({ plans: { step: { ...step, instructions: 1 } } }, /compiled to another plan/)
    const { velocity: _, ...tensors } = checkpoint.tensors
    await refused({ tensors }, /tensor 'velocity': expected .* but received 'no such tensor'/)
    const images = { ...checkpoint.tensors.images, shape: [1, 1, 1, 1] }
    await refused({ tensors: { ...checkpoint.tensors, images } }, /tensor 'images'/)
  })

  it('that cannot be saved end the run with the reason', async () => {
    const reason = Object.assign(new Error('no room'), { code: 'io' })
    const full: CheckpointStore = { load: async () => undefined, save: () => Promise.reject(reason) }
    await expect(run({ checkpoints: full, checkpointEvery: 3, iterations: 100_000 })).rejects.toBe(reason)
    await expect(run({ checkpoints: full })).rejects.toBe(reason)
  })
})

describe('a run that diverges', () => {
  /** With this rate the images grow until they overflow, after more than a hundred steps. */
  const growing = { imageLr: 30, iterations: 240, checkpointEvery: 30 } as const

  it('stops by default, names loss and step, and keeps the last good checkpoint', async () => {
    const store = memoryStore()
    const error = await run({ ...growing, checkpoints: store }).then(
      () => undefined,
      (reason) => reason,
    )
    const [, bad, saved] =
      /the loss of step (\d+) is Infinity; nothing was saved after step (\d+): lower the learning rate .*onDivergence/.exec(error.message)!
    expect(error.code).toBe('not_finite')
    expect(store.saved.at(-1)!.counters.step).toBe(Number(saved))
    expect(Number(saved)).toBe(Math.floor((Number(bad) - 1) / 30) * 30)
    expect(store.saved.every(({ tensors }) => Object.values(tensors).every(({ data }) => data.every(Number.isFinite)))).toBe(true)
  })

  it('names the tensor that is not finite', async () => {
    const store = memoryStore()
    await run({ checkpoints: store, iterations: 4 })
    const [checkpoint] = store.saved
    const data = (checkpoint.tensors.velocity.data as Float32Array).slice().fill(Number.NaN, 900, 901)
    const velocity = { ...checkpoint.tensors.velocity, data }
    store.saved.push({ ...checkpoint, tensors: { ...checkpoint.tensors, velocity } })
    await expect(run({ checkpoints: store, iterations: 6 })).rejects.toMatchObject({
      code: 'not_finite',
      message: expect.stringMatching(/tensor '(images|velocity)' holds NaN in row 2 after step [456]/),
    })
    expect(store.saved).toHaveLength(2)
  })

  it('goes back with half the rate, to the same bits at any number of threads and wherever it was interrupted', async () => {
    const options = { ...growing, onDivergence: 'rollback' } as const
    const whole = await run(options)
    const [first] = rollbacksOf(whole.events)
    expect(first).toMatchObject({ to: 100, rollbacks: 1, imageLr: 15, reason: expect.stringMatching(/the loss of step 1\d\d is Infinity/) })
    expect(whole.set.config).toMatchObject({ steps: 240, rollbacks: rollbacksOf(whole.events).length, imageLr: 30 })
    expect(stepsOf(whole.events).slice(-140)).toEqual(Array.from({ length: 140 }, (_, i) => 101 + i))
    const other = await Device.open({ threads: 3 })
    expect((await run({ ...options, device: other, checkpointEvery: 7 })).images).toEqual(whole.images)
    await other.close()
    const bad = Math.max(...stepsOf(whole.events.slice(0, whole.events.indexOf(first))))
    for (const stopAt of [40, 100, bad, 101]) {
      const store = memoryStore()
      let before = 0
      for (let last = 0, more = true; more; ) {
        const { events } = await run({ ...options, checkpoints: store, stopAt: before === 0 ? stopAt : last + 60 })
        before += rollbacksOf(events).length
        last = store.saved.at(-1)!.counters.step
        more = last < 240
      }
      const { images, set } = await run({ ...options, checkpoints: store })
      expect(images).toEqual(whole.images)
      expect(set.config).toEqual(whole.set.config)
    }
  })

  it('ends when going back does not help', async () => {
    const error = await run({ ...growing, imageLr: 40_000, onDivergence: 'rollback' }).then(
      () => undefined,
      (reason) => reason,
    )
    expect(error).toMatchObject({
      code: 'not_finite',
      message: expect.stringMatching(/after 3 rollbacks: lower the learning rate of the pixels \(imageLr, /),
    })
  })

  it('goes back to its last checkpoint when it may from then on', async () => {
    const store = memoryStore()
    await expect(run({ ...growing, checkpoints: store })).rejects.toMatchObject({ code: 'not_finite' })
    const { step } = store.saved.at(-1)!.counters
    const { events, set } = await run({ ...growing, checkpoints: store, onDivergence: 'rollback' })
    expect(rollbacksOf(events)[0]).toMatchObject({ to: step, imageLr: 15 })
    expect(set.images.every(Number.isFinite)).toBe(true)
    expect(set.config).toMatchObject({ onDivergence: 'rollback' })
  })
})
