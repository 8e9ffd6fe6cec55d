/** @file Latents in place of pixels: a linear upsampler's gradient against central differences, its resume, and refusals. */
import { beforeAll, describe, expect, it } from 'vitest'
import { distill } from '../../src/distill/index.js'
import { dm } from '../../src/distill/matching/dm.js'
import { batchesOf } from '../../src/distill/matching-step.js'
import type { Parametrisation } from '../../src/distill/parametrise.js'
import { broadcast, grad, interpret, type RefTensor, reshape, spec, trace, type Value } from '../../src/engine/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { fold, keyOf } from '../../src/engine/tensor/key.js'
import { uniform } from '../../src/engine/tensor/philox.js'
import type { DistillOptions, SyntheticSet } from '../../src/experiment/types.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { memoryStore, stripes } from './contract.js'

const dataset = stripes([8, 9, 7])
const [, height, width, channels] = dataset.shape
const [down, across] = [height / 2, width / 2]

/** Each latent pixel becomes a square of 2 x 2; a run starts from the means of those squares. */
const upsampler: Parametrisation = {
  name: 'upsampler',
  shape: [down, across, channels],
  init({ images, shape: [count] }) {
    const latents = new Float32Array(count * down * across * channels)
    for (let m = 0; m < count; m++) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          for (let c = 0; c < channels; c++) {
            const at = ((m * down + (y >> 1)) * across + (x >> 1)) * channels + c
            latents[at] += images[((m * height + y) * width + x) * channels + c] / 4
          }
        }
      }
    }
    return latents
  },
  apply(z: Value) {
    const count = z.shape[0]
    const spread = broadcast(reshape(z, [count, down, 1, across, 1, channels]), [count, down, 2, across, 2, channels])
    return reshape(spread, [count, height, width, channels])
  },
}

const settings = { method: 'dm', ipc: 2, iterations: 6, realBatch: 6, seed: 3, augment: 'dsa' } as const

async function distilled(options: Partial<DistillOptions>, threads = 2): Promise<SyntheticSet> {
  const device = await Device.open({ threads })
  try {
    return await distill(dataset, { ...settings, ...options, device } as DistillOptions<Device>).result
  } finally {
    await device.close()
  }
}

describe('latents through a linear upsampler', () => {
  let whole: SyntheticSet
  beforeAll(async () => {
    whole = await distilled({ parametrise: upsampler })
  })

  it('give images of equal squares that have moved from their start', async () => {
    expect(whole.shape).toEqual([6, height, width, channels])
    expect(whole.config).toMatchObject({ parametrise: 'upsampler' })
    for (let i = 0; i < whole.images.length; i++) {
      const [c, x] = [i % channels, Math.floor(i / channels) % width]
      expect(whole.images[i]).toBe(whole.images[i - c - x * channels + (x - (x % 2)) * channels + c])
    }
    const still = await distilled({ parametrise: upsampler, imageLr: 1e-12 })
    expect(still.images).not.toEqual(whole.images)
  })

  it('continue from a checkpoint of any step to the same bits, at any thread count', async () => {
    for (const reached of [1, 4]) {
      const checkpoints = memoryStore()
      await distilled({ parametrise: upsampler, iterations: reached, checkpoints })
      const tensors = (await checkpoints.load())?.checkpoint.tensors
      expect(tensors?.images.shape).toEqual([6, down, across, channels])
      const continued = await distilled({ parametrise: upsampler, checkpoints }, 3)
      expect(continued.images).toEqual(whole.images)
      const other = distilled({ parametrise: { ...upsampler, name: 'another' }, checkpoints })
      await expect(other).rejects.toMatchObject({ code: 'incompatible' })
    }
  })

  it('that are the pixels themselves give the bits of a run without', async () => {
    const identity: Parametrisation = { name: 'pixels', shape: [height, width, channels], init: ({ images }) => images, apply: (z) => z }
    expect((await distilled({ parametrise: identity })).images).toEqual((await distilled({})).images)
  })

  it.each(['datadam', 'atom'])('move under %s too', async (method) => {
    const options = { method, parametrise: upsampler, iterations: 2, network: 'convnet-d2' }
    expect((await distilled(options)).images.every(Number.isFinite)).toBe(true)
  })

  it('have the gradient of central differences', () => {
    const network = convNet({ input: [height, width, channels], classes: 3, depth: 1, width: 4 })
    const rows = { inputs: {}, gather: (v: Readonly<Record<string, Value>>) => v.real } as never
    const random = (title: string, shape: readonly number[]): RefTensor => ({
      shape,
      data: uniform(
        fold(keyOf(8), title),
        0,
        1,
        shape.reduce((a, b) => a * b, 1),
      ).map((u) => 2 * u - 1),
    })
    const ints = (list: readonly number[], shape = [list.length]): RefTensor => ({ shape, data: Float64Array.from(list) })
    const inputs: Record<string, RefTensor> = {
      images: random('z', [3, ...upsampler.shape]),
      real: random('real', [6, height, width, channels]),
      realClass: ints([0, 0, 1, 1, 2, 2]),
      syntheticClass: ints([0, 1, 2]),
      realCounts: ints([2, 2, 2], [3, 1]),
      syntheticCounts: ints([1, 1, 1], [3, 1]),
      key: ints([1, 2]),
      step: ints([0]),
    }
    const dtypes: Record<string, 'i32' | 'u32'> = { realClass: 'i32', syntheticClass: 'i32', key: 'u32', step: 'u32' }
    const names = Object.keys(inputs)
    const traced = trace(
      (...values) => {
        const v = Object.fromEntries(values.map((value, i) => [names[i], value]))
        const sides = batchesOf(v, { rows }, (z) => upsampler.apply(z))
        const loss = dm.loss({ network, key: v.key, step: v.step, classes: 3, ...sides }, {})
        return [loss, ...grad(loss, [v.images])]
      },
      names.map((name) => spec(inputs[name].shape, dtypes[name] ?? 'f32')),
    )
    const at = (z: RefTensor) => interpret(traced, Object.values({ ...inputs, images: z }))
    const [, gradient] = at(inputs.images)
    const direction = random('direction', inputs.images.shape).data
    const step = 1e-5
    const moved = (s: number) => at({ ...inputs.images, data: inputs.images.data.map((v, i) => v + s * direction[i]) })[0].data[0]
    const slope = gradient.data.reduce((total, g, i) => total + g * direction[i], 0)
    expect(Math.abs((moved(step) - moved(-step)) / (2 * step) - slope)).toBeLessThan(1e-5 * (1 + Math.abs(slope)))
  })
})

describe('a parametrisation is refused', () => {
  const cases: readonly [string, Partial<DistillOptions>, string][] = [
    ['that is none', { parametrise: {} as Parametrisation }, 'name, shape, init and apply'],
    ['whose images have another shape', { parametrise: { ...upsampler, apply: (z) => z } }, "parametrise 'upsampler': apply"],
    ['under gradient matching', { parametrise: upsampler, method: 'dc' }, "'dm', 'datadam' or 'atom'"],
    ['under dynamic pruning', { parametrise: upsampler, dynamic: {} }, 'dynamic pruning'],
    ['with groups of classes', { parametrise: upsampler, classGroup: 1 }, 'classGroup'],
    ['whose init gives too few latents', { parametrise: { ...upsampler, init: () => new Float32Array(3) } }, 'init'],
    [
      'whose init gives no numbers',
      { parametrise: { ...upsampler, init: () => new Float32Array(6 * down * across * channels).fill(Number.NaN) } },
      'finite numbers',
    ],
  ]
  it.each(cases)('%s', async (_, options, message) => {
    await expect(distilled(options)).rejects.toMatchObject({ code: 'invalid_option', message: expect.stringContaining(message) })
  })
})
