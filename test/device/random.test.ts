/** @file Random graphs under every way to cut them against the interpreter, and random numbers against their TypeScript twin. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CompileOptions } from '../../src/engine/compile/pipeline.js'
import {
  keyOf,
  normal,
  permutation,
  purpose,
  randomNormal,
  randomPermutation,
  randomUniform,
  refTensor,
  spec,
  trace,
  uniform,
} from '../../src/engine/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { boundErrors, largest, largestError } from './error-bound.js'
import { randomGraph } from './random-graph.js'
import { runTraced } from './run-traced.js'
import { onGpu } from './tested-devices.js'

let device: Device
beforeAll(async () => {
  device = await Device.open(onGpu ? { device: 'cuda', precision: 'f32' } : { threads: 2 })
})
afterAll(() => device.close())

const seeds = Array.from({ length: 40 }, (_, i) => i + 1)
const roundings = 32

const cuts: readonly Omit<CompileOptions, 'isa'>[] = [
  {},
  { slicing: 'off', winograd: 'off' },
  { slicing: { rows: 1 } },
  { slicing: { rows: 4 }, memoryBudget: 0 },
  { slicing: { rows: 8 }, memoryBudget: 0 },
  { slicing: { rows: 16 } },
]

describe('random graphs', () => {
  let sliced = 0

  it.each(seeds)('seed %i', async (seed) => {
    const { traced, inputs, text } = randomGraph(seed)
    const { reference, unit } = boundErrors(traced, inputs, 2)
    for (const options of cuts) {
      const { results, plan } = await runTraced(device, traced, inputs, options)
      sliced += plan.slices.length
      for (const [i, wanted] of reference.entries()) {
        // Gradients that cancel to nothing, as of a bias before a norm, are as exact as the largest gradient lets them be.
        const floor = 2 ** -24 * Math.max(...reference.map(({ data }) => largest(data)))
        const what = `output ${i} with ${JSON.stringify(options)} of ${text}`
        expect(largestError(results[i], wanted), what).toBeLessThanOrEqual(roundings * Math.max(unit[i], floor))
      }
    }
  })

  it('has cut most of them', () => {
    expect(sliced).toBeGreaterThan(seeds.length)
  })
})

describe('random numbers', () => {
  const keys = [keyOf(0), keyOf(1), keyOf(2n ** 64n - 1n), [0xdeadbeef, 0x12345678] as const]

  it.each(keys)('of key %i, %i are those of the TypeScript twin', async (...key) => {
    for (const step of [0, 1, 2 ** 31, 2 ** 32 - 1]) {
      const traced = trace(
        (k, at) => [
          randomUniform(k, at, [1027], purpose.noise),
          randomNormal(k, at, [1027], purpose.parameterInit),
          randomPermutation(k, at, 1027, purpose.shuffle),
        ],
        [spec([2], 'u32'), spec([1], 'u32')],
      )
      const { results } = await runTraced(device, traced, [refTensor([2], key), refTensor([1], [step])])
      expect([...results[0]]).toEqual([...uniform(key, step, purpose.noise, 1027)])
      expect([...results[2]]).toEqual([...permutation(key, step, purpose.shuffle, 1027)])
      const wanted = { shape: [1027], data: normal(key, step, purpose.parameterInit, 1027) }
      expect(largestError(results[1], wanted)).toBeLessThan(4 * 2 ** -24 * largest(wanted.data))
    }
  })

  it('have the moments of their distributions', async () => {
    const n = 200_000
    const traced = trace((k, at) => [randomUniform(k, at, [n], 1), randomNormal(k, at, [n], 2)], [spec([2], 'u32'), spec([1], 'u32')])
    const { results } = await runTraced(device, traced, [refTensor([2], keyOf(3)), refTensor([1], [0])])
    const moment = (data: ArrayLike<number>, f: (v: number) => number) => Array.from(data, f).reduce((a, b) => a + b, 0) / n
    // Five standard deviations of each estimate.
    const close = (value: number, wanted: number, deviation: number) =>
      expect(Math.abs(value - wanted)).toBeLessThan((5 * deviation) / Math.sqrt(n))
    close(
      moment(results[0], (v) => v),
      1 / 2,
      Math.sqrt(1 / 12),
    )
    close(
      moment(results[0], (v) => v * v),
      1 / 3,
      Math.sqrt(4 / 45),
    )
    close(
      moment(results[1], (v) => v),
      0,
      1,
    )
    close(
      moment(results[1], (v) => v * v),
      1,
      Math.sqrt(2),
    )
    close(
      moment(results[1], (v) => v ** 4),
      3,
      Math.sqrt(96),
    )
  })
})
