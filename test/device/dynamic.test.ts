/** @file Dynamic pruning on a real device: effects against the exact ones, runs that repeat and continue to the same bytes, refusals. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildLook } from '../../src/distill/dynamic/look-program.js'
import { treatmentEffects } from '../../src/distill/dynamic/treatment-effect.js'
import { distill } from '../../src/distill/index.js'
import { dm } from '../../src/distill/matching/dm.js'
import { realArrays, sharedArrays } from '../../src/distill/matching-loop.js'
import { batchesOf, chunkSlots, type StepShape } from '../../src/distill/matching-step.js'
import { resolveSettings } from '../../src/distill/settings.js'
import { gather, interpret, reshape, sizeOf, spec, trace, type Value } from '../../src/engine/index.js'
import type { DeviceArray } from '../../src/engine/runtime/array.js'
import { Device } from '../../src/engine/runtime/device.js'
import type { DType } from '../../src/engine/tensor/dtype.js'
import type { DistillSettings, RunEvent } from '../../src/experiment/types.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { rowSource } from '../../src/preprocess/row-source.js'
import { noiseDataset, noiseSide } from '../noise-dataset.js'
import { expectEqualAfterStop } from './stop-on-way.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const data = noiseDataset
const side = noiseSide
const network = convNet({ input: [side, side, 3], classes: 2, depth: 2, width: 4 })
const general = { method: 'dm', ipc: 2, realBatch: 12, network, init: 'real', seed: 3 } as const

async function eventsOf(
  settings: Partial<DistillSettings> & { iterations: number },
): Promise<{ events: RunEvent[]; images: Float32Array }> {
  const running = distill(data, { ...general, ...settings, device })
  const events: RunEvent[] = []
  for await (const event of running) events.push(event)
  return { events, images: (await running.result).images }
}
const losses = (events: readonly RunEvent[]) => events.flatMap((event) => (event.type === 'step' ? [event.loss] : []))
const looks = (events: readonly RunEvent[]) => events.flatMap((event) => (event.type === 'pruning' ? [event] : []))

describe('the look at a batch', () => {
  it('estimates the length of every effect: the mean over many directions is the exact one', async () => {
    const settings = { ...resolveSettings(data, { ...general, augment: 'none' }), method: dm }
    const image = [side, side, 3] as const
    const shape: StepShape = { rows: rowSource(data), image, classes: 2, realRows: 16, padded: false }
    const { ipc } = settings
    const probes = 256
    const { program, widths } = buildLook(device, settings, probes, shape)
    const make: Device['array'] = (...array) => device.array(...array)
    const images = Float32Array.from({ length: 4 * sizeOf(image) }, (_, i) => Math.sin(i * 1.7) + Math.cos(i * 0.37))
    const index = Int32Array.from({ length: 16 }, (_, i) => (i < 8 ? [1, 2, 3, 4, 5, 6, 8, 9][i] : [0, 7, 14, 21, 28, 35, 0, 7][i - 8]))
    const slots = new Int32Array(chunkSlots * 16)
    slots.set(index)
    const arrays = {
      ...shape.rows.arrays(make),
      ...sharedArrays(make, settings, 2),
      ...realArrays(make, shape, chunkSlots),
      realCounts: make('f32', [2, 1], Float32Array.of(8, 8)),
      images: make('f32', [4, ...image], images),
      picked: make(
        'i32',
        [2 * probes],
        Int32Array.from({ length: 2 * probes }, (_, i) => (i % 2) * ipc + ((i >> 1) % ipc)),
      ),
      pickedClass: make(
        'i32',
        [2 * probes],
        Int32Array.from({ length: 2 * probes }, (_, i) => i % 2),
      ),
      effects: make('f32', [16]),
      features0: make('f32', [16, widths[0]]),
    }
    await arrays.realIndex.write(slots)
    await program.run(arrays, { startStep: 0 })
    const estimated = await arrays.effects.read()
    program.dispose()

    // Every pixel of every synthetic image moved by itself, in float64.
    const pixels = sizeOf(image)
    const count = ipc * pixels
    const shared = ['key', 'realClass', 'syntheticClass', 'realCounts', 'syntheticCounts', 'images', 'data', 'scale', 'shift']
    const bound: Readonly<Record<string, DeviceArray>> = arrays
    const read = shared.map(async (name) => {
      const { shape, dtype } = bound[name]
      return [name, { shape, dtype, data: await bound[name].read() }] as const
    })
    const inputs: Record<string, { shape: readonly number[]; dtype: DType; data: ArrayLike<number> }> = {
      ...Object.fromEntries(await Promise.all(read)),
      realIndex: { shape: [16], dtype: 'i32', data: index },
      step: { shape: [1], dtype: 'u32', data: [0] },
      picked: {
        shape: [2 * count],
        dtype: 'i32',
        data: Array.from({ length: 2 * count }, (_, i) => (i % 2) * ipc + Math.floor((i >> 1) / pixels)),
      },
      pickedClass: { shape: [2 * count], dtype: 'i32', data: Array.from({ length: 2 * count }, (_, i) => i % 2) },
      directions: {
        shape: [2 * count, ...image],
        dtype: 'f32',
        data: Array.from({ length: 2 * count * pixels }, (_, i) => (i % pixels === (Math.floor(i / pixels) >> 1) % pixels ? 1 : 0)),
      },
    }
    const names = Object.keys(inputs)
    const traced = trace(
      (...values: Value[]) => {
        const v = Object.fromEntries(values.map((value, i) => [names[i], value]))
        const moved = gather(v.images, v.picked)
        const batch = { images: reshape(moved, [1, ...moved.shape]), classIndex: v.pickedClass, counts: v.syntheticCounts }
        const context = { network, key: v.key, step: v.step, classes: 2, ...batchesOf(v, shape) }
        return treatmentEffects(dm, {}, context, { probes: { pixels: moved, batch, directions: v.directions }, ipc }).along
      },
      names.map((name) => spec(inputs[name].shape, inputs[name].dtype)),
    )
    const [along] = interpret(
      traced,
      names.map((name) => ({ shape: inputs[name].shape, data: Float64Array.from(inputs[name].data) })),
    )
    const exact = Array.from({ length: 16 }, (_, row) => Math.hypot(...along.data.subarray(row * count, (row + 1) * count)))
    // 256 directions: a squared length is off by about sqrt(2 / 256)
    for (const [i, length] of exact.entries()) expect(Math.abs(estimated[i] / length - 1), `row ${i}`).toBeLessThan(0.2)
    const ratio = exact.reduce((sum, length, i) => sum + (estimated[i] / length) ** 2, 0) / 16
    expect(Math.abs(ratio - 1)).toBeLessThan(0.1)
    for (const array of Object.values(arrays)) array.dispose()
  })
})

describe('a run with dynamic pruning', () => {
  it('looks every so many steps, says what it uses, and computes what a run without does when nothing is dropped', async () => {
    const plain = await eventsOf({ iterations: 12 })
    const nothing = await eventsOf({ iterations: 12, dynamic: { betaLow: 0, betaHigh: 0, every: 5 } })
    expect(looks(nothing.events)).toMatchObject([1, 6, 11].map((step) => ({ step, drawn: 18, used: 18, fallbacks: 0, masked: 0 })))
    for (const [i, loss] of losses(nothing.events).entries()) expect(Math.abs(loss / losses(plain.events)[i] - 1)).toBeLessThan(1e-4)
    const some = await eventsOf({ iterations: 12, dynamic: { betaLow: 0.2, betaHigh: 0.2, every: 3 } })
    expect(looks(some.events).map(({ step }) => step)).toEqual([1, 4, 7, 10])
    for (const { drawn, used, masked } of looks(some.events)) {
      expect(used).toBeLessThan(drawn)
      expect(masked).toBeGreaterThan(0)
    }
    expect(some.images).not.toEqual(nothing.images)
  })

  it.each([
    ['datadam', { preset: 'paper' }],
    ['atom', {}],
  ])('works with %s', async (method, more) => {
    const dynamic = { mode: 'rank', betaLow: 0.25, betaHigh: 0.25, every: 2 } as const
    const { events } = await eventsOf({ method, ...more, iterations: 4, dynamic })
    // trunc(12 / 4) and trunc(6 / 4) of each end
    expect(looks(events).map(({ used }) => used)).toEqual([6 + 4, 6 + 4])
    expect(losses(events).every(Number.isFinite)).toBe(true)
  })

  it('ends as a run that diverges when the images do, and goes back where it may', async () => {
    const settings = { iterations: 40, imageLr: 1e300, dynamic: { every: 2 } } as const
    await expect(eventsOf(settings)).rejects.toMatchObject({ code: 'not_finite', message: expect.stringMatching(/image-lr/) })
    const tried = eventsOf({ ...settings, onDivergence: 'rollback' })
    await expect(tried).rejects.toMatchObject({ code: 'not_finite', message: expect.stringMatching(/after 3 rollbacks/) })
  })

  it('leaves nothing on the device', async () => {
    const before = device.memory().arrayBytes
    await eventsOf({ iterations: 6, dynamic: { every: 2, betaLow: 0.4, betaHigh: 0.4 } })
    expect(device.memory().arrayBytes).toBe(before)
  })

  const refused: [string, Partial<DistillSettings>, RegExp][] = [
    ['batch norm', { network: 'convnet-bn' }, /under batch norm every sample moves every other/],
    ['tails that meet', { dynamic: { betaLow: 0.5, betaHigh: 0.5 } }, /less than 1/],
    ['a share that is none', { dynamic: { betaLow: Number.NaN } }, /betaLow: expected a share/],
    ['no steps between looks', { dynamic: { every: 0 } }, /every/],
    ['too many directions', { dynamic: { probes: 257 } }, /at most 256/],
    ['a mode that is none', { dynamic: { mode: 'median' as never } }, /moments or rank/],
    ['a mistyped setting', { dynamic: { beta: 0.1 } as never }, /betaLow/],
  ]
  it.each(refused)('refuses %s', (_, settings, message) => {
    expect(() => distill(data, { ...general, dynamic: {}, ...settings, device })).toThrow(message)
  })
})

describe('aludel distill --dynamic', () => {
  it('continues after a stop to the bytes of a run that nobody touched, at another number of threads', async () => {
    const settings = ['--method', 'dm', '--real-batch', '6', '--network', 'mlp', '--seed', '5', '--dynamic', 'bilp:every=3,betaHigh=0.3']
    const { iterations, looks } = await expectEqualAfterStop(settings, 8)
    expect(looks).toBe(Math.ceil(iterations / 3))
  })
})
