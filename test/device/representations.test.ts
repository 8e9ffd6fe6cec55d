/** @file KRR-ST on a device: a run to its end, the same bytes however it is cut, no labels, what it refuses and what it says. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDataset, type Dataset } from '../../src/data/dataset.js'
import { distill, distillRepresentations } from '../../src/distill/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import type { Checkpoint, CheckpointStore, RepresentationOptions, RunEvent } from '../../src/experiment/types.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import type { Teacher } from '../../src/teachers/teacher.js'
import { expectError } from '../unit/data/fixtures.js'

const side = 8
const dim = 5
const pixels = side * side * 3

let device: Device
beforeAll(async () => {
  device = await Device.open({ device: 'cpu', threads: 2 })
})
afterAll(() => device.close())

const images = Uint8Array.from({ length: 40 * pixels }, (_, i) => (Math.imul(i + 7, 2654435761) >>> 24) & 255)
const labels = Int32Array.from({ length: 40 }, (_, i) => i % 2)
const data = (change: Partial<Dataset> = {}): Dataset =>
  createDataset({
    ...{ name: 'noise', split: 'train', classes: ['a', 'b'], images, shape: [40, side, side, 3], labels },
    ...{ mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25], flip: true },
    ...change,
  })

/** Each number of a representation is a fixed sum of pixels. */
const teacherOf = (change: Partial<Teacher> & { answer?: (x: Float32Array, k: number) => number } = {}): Teacher => {
  const { answer = (x, k) => x.reduce((sum, value, i) => sum + value * Math.sin(i * (k + 1)), 0) / 8, ...others } = change
  return {
    ...{ name: 'sums', objective: 'none', dim, sha256: '00' },
    input: { shape: [side, side, 3], mean: [0, 0, 0], std: [1, 1, 1] },
    async encode(x, rows) {
      return Float32Array.from({ length: rows * dim }, (_, i) =>
        answer(x.subarray(Math.floor(i / dim) * pixels, (Math.floor(i / dim) + 1) * pixels), i % dim),
      )
    },
    async dispose() {},
    ...others,
  }
}

const network = convNet({ input: [side, side, 3], classes: dim, depth: 1, width: 8, norm: 'batch' })
const small = (change: Partial<RepresentationOptions<Device>> = {}): RepresentationOptions<Device> => ({
  ...{ method: 'krr-st', n: 6, teacher: teacherOf(), device, network, iterations: 7, realBatch: 12, imageLr: 1e-3 },
  ...change,
  methodOptions: { poolModels: 2, poolSteps: 4, innerLr: 0.02, ...change.methodOptions },
})

async function followed(change: Partial<RepresentationOptions<Device>> = {}, dataset = data()) {
  const run = distillRepresentations(dataset, small(change))
  const events: RunEvent[] = []
  for await (const event of run) events.push(event)
  return { events, set: await run.result }
}
const losses = (events: readonly RunEvent[]) => events.flatMap((event) => (event.type === 'step' ? [event.loss] : []))

/** Keeps the newest checkpoint in memory; `failAt` ends the run when that many were saved. */
function memoryStore(failAt = Number.POSITIVE_INFINITY): CheckpointStore & { saved: Checkpoint[] } {
  const saved: Checkpoint[] = []
  return {
    saved,
    async save(checkpoint) {
      saved.push(checkpoint)
      if (saved.length === failAt) throw new Error('the power went')
    },
    async load() {
      const checkpoint = saved.at(-1)
      return checkpoint && { checkpoint, damaged: [] }
    },
  }
}

it('makes one image', async () => {
  const { set } = await followed({ n: 1, iterations: 2 })
  expect(set.shape[0]).toBe(1)
  expect(set.images.every(Number.isFinite)).toBe(true)
})

it('goes back to the pool that was drawn when it diverges at once', async () => {
  let calls = 0
  const teacher = teacherOf()
  const once: Teacher = {
    ...teacher,
    // after the start and the look at the teacher; the second batch is beyond float32: a loss that is not finite
    async encode(x, rows, signal) {
      const answers = await teacher.encode(x, rows, signal)
      return ++calls === 4 ? answers.map(() => 3e38) : answers
    },
  }
  const { events, set } = await followed({ teacher: once, onDivergence: 'rollback' })
  expect(events.filter(({ type }) => type === 'rollback')).toHaveLength(1)
  const conditions = events.flatMap((event) => (event.type === 'step' && event.regression ? [event.regression.condition] : []))
  // features of weights that are zero would leave the ones column: a condition of 1 / ridge at every step
  expect(Math.min(...conditions)).toBeLessThan(1e5)
  expect(set.images.every(Number.isFinite)).toBe(true)
})

describe('a run', () => {
  it('trains its pool, moves images and targets, and says how the solutions were found', async () => {
    const { events, set } = await followed()
    const steps = events.flatMap((event) => (event.type === 'step' ? [event] : []))
    expect(steps).toHaveLength(7)
    for (const { regression } of steps) {
      expect(regression?.tries).toBe(0)
      expect(regression?.residual).toBeLessThan(1e-9)
      expect(regression?.ridgeShare).toBeCloseTo(1e-6, 12)
      expect(regression?.condition).toBeGreaterThan(1)
    }
    const drift = steps.map(({ regression }) => regression?.imageDrift ?? 0)
    expect(drift[0]).toBeGreaterThan(0)
    expect(drift[6]).toBeGreaterThan(drift[0])
    expect([set.shape, set.targets.length, set.teacher.name]).toEqual([[6, side, side, 3], 6 * dim, 'sums'])
    expect(set.config).toMatchObject({ method: 'krr-st', n: 6, steps: 7, teacherTable: 'off' })
  })

  it('lowers the loss on real images', async () => {
    const { events } = await followed({ iterations: 120, imageLr: 2e-2 })
    const mean = (of: number[]) => of.reduce((a, b) => a + b, 0) / of.length
    const all = losses(events)
    expect(mean(all.slice(-20))).toBeLessThan(0.7 * mean(all.slice(0, 20)))
  })

  it('reads no label', async () => {
    const one = await followed()
    const other = await followed({}, data({ labels: labels.map((label) => 1 - label) }))
    expect(other.set.images).toEqual(one.set.images)
    expect(other.set.targets).toEqual(one.set.targets)
  })

  it('gives the same bits at one thread and at three', async () => {
    const { set } = await followed()
    for (const threads of [1, 3]) {
      const own = await Device.open({ device: 'cpu', threads })
      try {
        const other = await followed({ device: own })
        expect(other.set.images).toEqual(set.images)
        expect(other.set.targets).toEqual(set.targets)
      } finally {
        await own.close()
      }
    }
  })

  it.each([1, 2, 5])('goes on from checkpoint %i to the same bits', async (failAt) => {
    const whole = await followed()
    const store = memoryStore(failAt)
    const cut = distillRepresentations(data(), small({ checkpoints: store, checkpointEvery: 1 }))
    await expect(cut.result).rejects.toThrow('the power went')
    // the teacher's file may be called otherwise by now
    const renamed = teacherOf({ name: 'renamed' })
    const { set, events } = await followed({ teacher: renamed, checkpoints: { load: store.load, save: async () => {} } })
    expect(events[0]).toMatchObject({ type: 'start', step: store.saved.length })
    expect(set.images).toEqual(whole.set.images)
    expect(set.targets).toEqual(whole.set.targets)
  })

  it('goes on with the training of its pool where it was stopped', async () => {
    const whole = await followed({ methodOptions: { poolSteps: 30 } })
    const store = memoryStore()
    const run = distillRepresentations(data(), small({ methodOptions: { poolSteps: 30 }, checkpoints: store }))
    for await (const event of run) if (event.type === 'warm-up') run.stop()
    await run.result
    expect(store.saved.map(({ counters }) => counters.step)).toEqual([0])
    const { set } = await followed({ methodOptions: { poolSteps: 30 }, checkpoints: { load: store.load, save: async () => {} } })
    expect(set.images).toEqual(whole.set.images)
  })

  it('takes the teacher’s answers from a table to the same images, asking once for each image', async () => {
    const asked: number[] = []
    const counting = teacherOf()
    const teacher: Teacher = {
      ...counting,
      encode: (x, rows) => {
        asked.push(rows)
        return counting.encode(x, rows)
      },
    }
    const plain = await followed()
    const kept = await followed({ teacher, methodOptions: { teacherTable: 'on' } })
    expect(kept.set.images).toEqual(plain.set.images)
    expect(kept.set.config.teacherTable).toBe('on')
    expect(asked.filter((rows) => rows === 162)).toHaveLength(40)
    // once for the start, and once for the look at the teacher
    expect(asked.length).toBe(42)
  })

  it('starts from raw or normalised images, and scales targets without changing their units in the set', async () => {
    const still = { iterations: 1, imageLr: 1e-12 }
    const raw = (await followed(still)).set
    const normalised = (await followed({ ...still, methodOptions: { initSpace: 'normalised', targetScaling: 'globalStd' } })).set
    expect([raw.initSpace, normalised.initSpace]).toEqual(['raw', 'normalised'])
    for (const [i, value] of raw.images.entries()) expect(normalised.images[i]).toBeCloseTo((value - 0.5) / 0.25, 4)
    for (const [i, value] of raw.targets.entries()) expect(normalised.targets[i]).toBeCloseTo(value, 4)
    expect(Math.max(...raw.images)).toBeLessThanOrEqual(1)
  })

  it('says what of its start the user should know', async () => {
    const twice = images.slice()
    for (let row = 1; row < 40; row++) twice.copyWithin(row * pixels, 0, pixels / 3)
    twice.fill(9, pixels)
    const teacher = teacherOf({ answer: (x, k) => (k === 2 ? 0 : x[k] + 2 * x[40 + k]) })
    const { events, set } = await followed({ n: 20, teacher }, data({ images: twice }))
    const said = events.flatMap((event) => (event.type === 'notice' ? [event.message] : []))
    expect(said.join('\n')).toMatch(/1 of 5 dimensions are 0/)
    expect(said.join('\n')).toMatch(/of the 20 images that the run starts from are copies/)
    expect(said.join('\n')).toMatch(/copies of others \(rows \d+, .* and \d+( more)?\)/)
    expect(set.targets.every(Number.isFinite)).toBe(true)
  })

  it('looks at its teacher before it learns, without labels, and goes on', async () => {
    const input = { shape: [side, side, 3] as const, mean: [0, 0, 0], std: [0.004, 0.004, 0.004] }
    const teacher = teacherOf({ input, answer: (x, k) => 1 + 1e-5 * x[k] })
    const { events } = await followed({ teacher, iterations: 1 })
    const said = events.flatMap((event) => (event.type === 'notice' ? [event.message] : [])).join('\n')
    expect(said).toMatch(/teacher 'sums': the representations of all images are nearly the same/)
    expect(said).toMatch(/teacher 'sums': normalised pixels have mean/)
    const fine = await followed({ iterations: 1, methodOptions: { initSpace: 'normalised' } })
    expect(fine.events.filter(({ type }) => type === 'notice')).toEqual([])
  })

  it('points out the normalised start where it begins from raw pixels and is short', async () => {
    const noticesOf = async (iterations: number) => {
      const run = distillRepresentations(data(), small({ iterations }))
      run.stop()
      const said: string[] = []
      for await (const event of run) if (event.type === 'notice') said.push(event.message)
      await run.result
      return said
    }
    expect(await noticesOf(999)).toEqual([expect.stringMatching(/^999 iterations are few .*initSpace=normalised/)])
    expect(await noticesOf(1000)).toEqual([])
  })
})

describe('refusals', () => {
  const refused: [string, Partial<RepresentationOptions<Device>>, string, RegExp][] = [
    ['more images than there are', { n: 41 }, 'invalid_option', /at most 40/],
    ['no image', { n: 0 }, 'invalid_option', /n/],
    ['a ridge of 0', { methodOptions: { ridge: 0 } }, 'invalid_option', /ridge/],
    ['an augmentation that is none', { augment: 'dsa' }, 'invalid_option', /crop_flip/],
    ['a method with labels', { method: 'dm' }, 'invalid_option', /krr-st/],
    ['a method that is none', { method: 'krr' }, 'not_found', /krr-st/],
    [
      'a teacher of larger images',
      { teacher: teacherOf({ input: { shape: [224, 224, 3], mean: [0, 0, 0], std: [1, 1, 1] } }) },
      'incompatible',
      /224/,
    ],
    ['a teacher that is none', { teacher: undefined as unknown as Teacher }, 'invalid_option', /openTeacher/],
  ]
  it.each(refused)('%s', async (_, change, code, message) => {
    await expectError(() => distillRepresentations(data(), small(change)), code, message)
  })

  const failing: [string, Partial<RepresentationOptions<Device>>, string, RegExp][] = [
    ['a teacher that answers NaN', { teacher: teacherOf({ answer: () => Number.NaN }) }, 'not_finite', /sums/],
    ['a teacher that answers the same for all', { teacher: teacherOf({ answer: (_, k) => k }) }, 'invalid_data', /collapsed/],
    ['a teacher that gives too few numbers', { teacher: teacherOf({ encode: async () => new Float32Array(3) }) }, 'invalid_shape', /sums/],
    ['a pool that is larger than the memory', { methodOptions: { poolModels: 20_000_000 } }, 'out_of_memory', /poolModels/],
    ['a learning rate far too high', { imageLr: 1e30 }, 'not_finite', /step/],
    ['a pool that diverges', { methodOptions: { innerLr: 1e30 } }, 'not_finite', /networks of the pool are trained at \(innerLr/],
    ['targets beyond float32', { teacher: teacherOf({ answer: (x, k) => 1e25 * x[k] }) }, 'not_finite', /targetScaling=globalStd/],
  ]
  it.each(failing)('%s', async (_, change, code, message) => {
    await expectError(() => distillRepresentations(data(), small(change)).result, code, message)
  })

  it('a kernel that no ridge mends, the same when the run is continued', async () => {
    const twice = data({ images: images.map((_, i) => images[i % (20 * pixels)]) })
    const hopeless = { n: 40, methodOptions: { ridge: 1e-300, ridgeScale: 'absolute', poolSteps: 30 } }
    const failureOf = async (change: Partial<RepresentationOptions<Device>> = {}): Promise<Error> =>
      distillRepresentations(twice, small({ ...hopeless, ...change })).result.then(
        () => expect.unreachable(),
        (error) => error,
      )
    const whole = await failureOf()
    expect(whole).toMatchObject({ code: 'not_positive_definite', message: /^step 1: .*equal: rows .*--set ridge=/ })
    const store = memoryStore()
    const run = distillRepresentations(twice, small({ ...hopeless, checkpoints: store }))
    for await (const event of run) if (event.type === 'warm-up') run.stop()
    await run.result
    expect(store.saved).toHaveLength(1)
    for (const _ of [1, 2]) expect((await failureOf({ checkpoints: store })).message).toBe(whole.message)
  })

  it('the method in distill', async () => {
    await expectError(() => distill(data(), { method: 'krr-st', ipc: 1, device }), 'invalid_option', /distillRepresentations/)
  })

  it('leave nothing on the device', async () => {
    const before = device.memory()
    await followed()
    await expectError(() => distillRepresentations(data(), small({ imageLr: 1e30 })).result, 'not_finite', /step/)
    expect(device.memory()).toMatchObject({ arrayBytes: before.arrayBytes, constantBytes: before.constantBytes })
  })
})
