/** @file Choosing rows on a device: the same rows as without one, to the last tie, at any number of threads and instruction set. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { spec, trace } from '../../src/engine/index.js'
import { herdStep } from '../../src/engine/ops/herding.js'
import { binding } from '../../src/engine/runtime/binding.js'
import { Device } from '../../src/engine/runtime/device.js'
import { selectSamples } from '../../src/prune/select.js'
import { craig } from '../../src/scores/craig.js'
import { herd } from '../../src/scores/herding.js'
import { kCenterGreedy } from '../../src/scores/k-center.js'
import type { Matrix } from '../../src/scores/matrix.js'
import { gridMatrix, randomMatrix } from '../unit/scores/matrices.js'
import { runTraced } from './run-traced.js'
import { onGpu, openTestedDevices } from './tested-devices.js'

const devices: Device[] = []
beforeAll(async () => {
  if (onGpu) devices.push(...(await openTestedDevices()))
  else for (const isa of binding().info().isas) for (const threads of [1, 3]) devices.push(await Device.open({ isa, threads }))
})
afterAll(async () => {
  for (const device of devices) {
    expect(device.memory().arrayBytes).toBe(0)
    await device.close()
  }
})

const float32 = ({ data, shape }: Matrix): Matrix => ({ data: Float32Array.from(data), shape })
const largeMatrix = (rows: number, width: number) => float32(randomMatrix(rows, width, 11))

/** Rows of few values, so that there are ties and equal rows, or of any. */
const matrices = fc.tuple(fc.integer({ min: 1, max: 80 }), fc.integer({ min: 1, max: 9 }), fc.boolean()).chain(([rows, width, coarse]) =>
  fc
    .array(coarse ? fc.integer({ min: -2, max: 2 }) : fc.float({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }), {
      minLength: rows * width,
      maxLength: rows * width,
    })
    .map((numbers): Matrix => ({ data: Float32Array.from(numbers), shape: [rows, width] })),
)

describe('k-center', () => {
  it('takes the same rows and has the same radii, bit for bit', () =>
    fc.assert(
      fc.asyncProperty(matrices, fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(79), async (features, share, first) => {
        const [rows] = features.shape
        const count = Math.round(share * rows)
        const starts = [{}, ...(first < rows && count > 0 ? [{ start: first }] : []), ...(count > 1 ? [{ start: [rows - 1, 0] }] : [])]
        for (const start of starts) {
          const wanted = await kCenterGreedy(features, count, start)
          for (const device of devices) expect(await kCenterGreedy(features, count, { ...start, device })).toEqual(wanted)
        }
      }),
      { numRuns: 25 },
    ))

  it('does so for rows that are copied in several parts', async () => {
    const features = largeMatrix(1500, 1100)
    const wanted = await kCenterGreedy(features, 70)
    for (const device of devices) expect(await kCenterGreedy(features, 70, { device })).toEqual(wanted)
  })
})

describe('herding', () => {
  it('takes the same rows', () =>
    fc.assert(
      fc.asyncProperty(matrices, fc.double({ min: 0, max: 1, noNaN: true }), async (features, share) => {
        const count = Math.round(share * features.shape[0])
        for (const [options, n] of [
          [{}, count],
          [{ rule: 'welling' }, count],
          [{ rule: 'welling', repeats: true }, count + 90],
        ] as const) {
          const wanted = await herd(features, n, options)
          for (const device of devices) expect(await herd(features, n, { ...options, device })).toEqual(wanted)
        }
      }),
      { numRuns: 25 },
    ))

  it('does so for rows that are copied in several parts', async () => {
    const features = largeMatrix(1500, 1100)
    for (const rule of ['residual', 'welling'] as const) {
      const wanted = await herd(features, 70, { rule })
      for (const device of devices) expect(await herd(features, 70, { rule, device })).toEqual(wanted)
    }
  })
})

it('says when herding has no row left', async () => {
  const step = trace(
    (panels, mean, target, taken) => Object.values(herdStep(panels, mean, target, taken, 'residual')),
    [spec([1, 2, 32]), spec([2], 'f64'), spec([2], 'f64'), spec([3], 'i32')],
  )
  const row = { shape: [2], data: new Float64Array(2) }
  const inputs = [{ shape: [1, 2, 32], data: new Float64Array(64) }, row, row, { shape: [3], data: Float64Array.of(1, 2, 1) }]
  for (const device of devices)
    await expect(runTraced(device, step, inputs)).rejects.toMatchObject({
      code: 'invalid_index',
      message: expect.stringMatching(/herd_step: all 3 rows were taken/),
    })
})

describe('craig', () => {
  it('takes the same rows of gradients in factors: whole numbers with ties and equal rows, and others', async () => {
    for (const [errors, features] of [
      [gridMatrix(60, 2, 1), gridMatrix(60, 3, 2)],
      [randomMatrix(300, 4, 3), randomMatrix(300, 33, 4)],
      [randomMatrix(130, 10, 5), float32(randomMatrix(130, 70, 6))],
    ]) {
      const wanted = await craig({ errors, features }, 25)
      for (const device of devices) {
        const { indices, weights, values } = await craig({ errors, features }, 25, { device })
        expect(indices).toEqual(wanted.indices)
        expect(weights).toEqual(wanted.weights)
        for (const [t, value] of values.entries()) expect(value / wanted.values[t]).toBeCloseTo(1, 9)
      }
    }
  })
})

it('computes rows of double precision as without a device', async () => {
  const features = randomMatrix(40, 5, 2)
  const [device] = devices
  expect(await herd(features, 9, { device })).toEqual(await herd(features, 9))
  expect(await kCenterGreedy(features, 9, { device })).toEqual(await kCenterGreedy(features, 9))
})

it('selects samples of a data set', async () => {
  const features = largeMatrix(90, 6)
  const data = { labels: Int32Array.from({ length: 90 }, (_, i) => i % 3), classes: ['a', 'b', 'c'] }
  for (const order of ['herding', 'kCenter'] as const) {
    const wanted = await selectSamples(data, { order, keep: 0.4, features })
    expect(await selectSamples(data, { order, keep: 0.4, features, device: devices[0] })).toEqual(wanted)
  }
})

describe('refuses', () => {
  const features = largeMatrix(5, 2)
  it.each([
    ['no device', () => herd(features, 2, { device: {} as never }), 'invalid_option'],
    ['a promise of one', () => kCenterGreedy(features, 2, { device: Promise.resolve() as never }), 'invalid_option'],
  ])('%s', async (_, run, code) => {
    await expect(run()).rejects.toMatchObject({ code })
  })

  it('a closed device', async () => {
    const device = await Device.open({ threads: 1 })
    await device.close()
    await expect(herd(features, 2, { device })).rejects.toMatchObject({ code: 'disposed' })
    await expect(kCenterGreedy(features, 2, { device })).rejects.toMatchObject({ code: 'disposed' })
  })
})
