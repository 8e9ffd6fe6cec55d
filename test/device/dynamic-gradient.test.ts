/** @file Dynamic pruning of gradient methods on a real device: effects against leaving each sample out, runs, continuations, refusals. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { drawRow, thetaSize } from '../../src/augment/dsa.js'
import { createSampler } from '../../src/data/index.js'
import { gradientProbes, sampleGradientsAlong } from '../../src/distill/dynamic/gradient-effect.js'
import { GradientLook, type GradientSettings, samplesPerPiece } from '../../src/distill/dynamic/gradient-look.js'
import { gradientArrays } from '../../src/distill/gradient-matching-loop.js'
import { type GradientShape, networkDraw, parameterKey, parametersOf } from '../../src/distill/gradient-step.js'
import { distill } from '../../src/distill/index.js'
import { classGradients } from '../../src/distill/matching/gradient-distance.js'
import type { ClassBatch } from '../../src/distill/method.js'
import { resolveSettings } from '../../src/distill/settings.js'
import { augment, broadcast, full, gather, grad, interpret, reshape, spec, sub, sum, trace, type Value } from '../../src/engine/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { fold, keyOf, purpose } from '../../src/engine/tensor/key.js'
import type { DistillSettings, RunEvent } from '../../src/experiment/types.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { networkPixels, rowSource } from '../../src/preprocess/row-source.js'
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
const general = { ipc: 2, realBatch: 12, network, init: 'real', seed: 3 } as const

/** Spearman's. */
function rankCorrelation(a: readonly number[], b: readonly number[]): number {
  const ranks = (list: readonly number[]) => list.map((value) => list.filter((other) => other < value).length)
  const [p, q] = [ranks(a), ranks(b)]
  const n = a.length
  return 1 - (6 * p.reduce((total, rank, i) => total + (rank - q[i]) ** 2, 0)) / (n * (n * n - 1))
}

describe('the look at a batch of a gradient method', () => {
  it.each(['dc', 'dsa'])(
    'estimates the length of every effect under %s: that of the first order, near that of leaving it out',
    async (method) => {
      const probes = 256
      const settings = resolveSettings(data, { ...general, method, dynamic: { probes } }) as GradientSettings
      const { ipc, realBatch, augment: policy, seed } = settings
      const sampler = createSampler({ dataset: data, perClass: realBatch, seed, purpose: purpose.realBatch })
      const augmented = policy.operations.length > 0
      expect(augmented).toBe(method === 'dsa')
      const shape: GradientShape = { network, rows: rowSource(data), classes: 2, ipc, realBatch, padded: true, augmented }
      const held: { dispose(): void }[] = []
      const own = <T extends { dispose(): void }>(one: T): T => {
        held.push(one)
        return one
      }
      const images = Float32Array.from({ length: 4 * side * side * 3 }, (_, i) => Math.sin(i * 1.7) + Math.cos(i * 0.37))
      const key = keyOf(seed)
      const arrays: Record<string, ReturnType<Device['array']>> = {
        ...gradientArrays(own, device, shape, { key, sampler }),
        images: own(device.array('f32', [2, ipc, side, side, 3], images)),
      }
      const look = own(new GradientLook(device, settings, shape))
      await own(networkDraw(device, network)).run(arrays, { startStep: 0 })
      const draw = { rows: sampler.draw(0), perClass: realBatch, counts: sampler.counts }
      const theta = augmented
        ? Float32Array.from(
            [0, 1].flatMap((c) => [...drawRow(policy, { key: fold(key, 'augment'), purpose: purpose.augment, step: 0 }, c, side, side)]),
          )
        : undefined
      const uploads = [arrays.realIndex.write(draw.rows), ...(theta ? [arrays.theta.write(theta)] : [])]
      const [estimated] = await Promise.all([look.effects(arrays, { draw, step: 0, theta }, undefined), ...uploads])

      // In float64: every pixel of every synthetic image by itself, and every sample left out.
      const weights = Object.fromEntries(
        await Promise.all(
          network.parameters.map(async ({ name }) => [parameterKey(name), await arrays[parameterKey(name)].read()] as const),
        ),
      )
      const pixels = networkPixels(data)
      const perImage = side * side * 3
      const moved = ipc * perImage
      for (const c of [0, 1]) {
        const n = draw.counts[c]
        const drawn = [...draw.rows.subarray(c * realBatch, c * realBatch + n)]
        const real = drawn.flatMap((row) => [...pixels.subarray(row * perImage, (row + 1) * perImage)])
        const inputs: Record<string, { shape: readonly number[]; data: Float64Array; dtype?: 'i32' }> = {
          ...Object.fromEntries(
            network.parameters.map(({ name, shape: s }) => [
              parameterKey(name),
              { shape: [1, ...s], data: Float64Array.from(weights[parameterKey(name)] as Float32Array) },
            ]),
          ),
          real: { shape: [n, side, side, 3], data: Float64Array.from(real) },
          synthetic: { shape: [ipc, side, side, 3], data: Float64Array.from(images.subarray(c * moved, (c + 1) * moved)) },
          theta: {
            shape: [1, thetaSize],
            data: Float64Array.from(theta?.subarray(c * thetaSize, (c + 1) * thetaSize) ?? new Float32Array(thetaSize)),
          },
          label: { shape: [1], data: Float64Array.of(c), dtype: 'i32' },
          picked: { shape: [moved], data: Float64Array.from({ length: moved }, (_, p) => Math.floor(p / perImage)), dtype: 'i32' },
          directions: {
            shape: [moved, side, side, 3],
            data: Float64Array.from({ length: moved * perImage }, (_, i) => (i % perImage === Math.floor(i / perImage) % perImage ? 1 : 0)),
          },
        }
        const names = Object.keys(inputs)
        const compute = (build: (v: Record<string, Value>) => Value[], given: typeof inputs) =>
          interpret(
            trace(
              (...values: Value[]) => build(Object.fromEntries(values.map((value, i) => [names[i], value]))),
              names.map((name) => spec(given[name].shape, given[name].dtype)),
            ),
            names.map((name) => given[name]),
          )
        const view = (v: Record<string, Value>, x: Value) =>
          reshape(augmented ? augment(x, broadcast(v.theta, [x.shape[0], thetaSize])) : x, [1, ...x.shape])
        const batch = (v: Record<string, Value>, x: Value): ClassBatch => ({
          images: view(v, x),
          classIndex: broadcast(v.label, [x.shape[0]]),
          counts: full([1, 1], x.shape[0]),
        })
        const distance = (v: Record<string, Value>) => {
          const of = (x: Value) => classGradients(network, parametersOf(network, v), batch(v, x), 1).gradients
          return sum(settings.method.distance(network, of(v.synthetic), of(v.real), settings.methodOptions))
        }
        const gradient = (given: typeof inputs) => compute((v) => [grad(distance(v), [v.synthetic])[0]], given)[0].data
        const [along] = compute((v) => {
          const one = gather(v.synthetic, v.picked)
          const probe = { images: view(v, one), classIndex: broadcast(v.label, [moved]), counts: full([moved, 1], 1) }
          const context = { network, parameters: parametersOf(network, v), real: batch(v, v.real), synthetic: batch(v, v.synthetic), ipc }
          const { along: w, ofMean } = gradientProbes(settings.method, settings.methodOptions, {
            ...context,
            probes: { pixels: one, batch: probe, directions: v.directions },
          })
          return [sub(sampleGradientsAlong(network, context.parameters, context.real, w), reshape(ofMean, [1, moved]))]
        }, inputs)
        const first = drawn.map((_, i) => Math.hypot(...along.data.subarray(i * moved, (i + 1) * moved)) / (n - 1))
        const whole = gradient(inputs)
        const left = drawn.map((_, i) => {
          const rest = Float64Array.from(real.filter((_value, at) => Math.floor(at / perImage) !== i))
          const without = gradient({ ...inputs, real: { shape: [n - 1, side, side, 3], data: rest } })
          return Math.hypot(...whole.map((value, at) => value - without[at]))
        })
        const found = drawn.map((_, i) => estimated[c * realBatch + i])
        // 256 directions: a squared length is off by about sqrt(2 / 256)
        for (const [i, length] of first.entries()) expect(Math.abs(found[i] / length - 1), `class ${c}, sample ${i}`).toBeLessThan(0.25)
        const ratio = first.reduce((total, length, i) => total + (found[i] / length) ** 2, 0) / n
        expect(Math.abs(ratio - 1)).toBeLessThan(0.12)
        const largest = Math.max(...left)
        for (const [i, length] of left.entries())
          expect(Math.abs(first[i] - length) / largest, `class ${c}, sample ${i}`).toBeLessThan(0.35)
        expect(rankCorrelation(found, left)).toBeGreaterThan(0.8)
      }
      for (const one of held) one.dispose()
    },
  )

  it('holds a bounded number of gradients, whatever the batch and the network', () => {
    const sizes = [4, 128, 1024].map((width) => samplesPerPiece(convNet({ input: [32, 32, 3], classes: 10, depth: 3, width }), 256))
    expect(sizes[0]).toBe(32)
    expect(sizes[1]).toBe(32)
    expect(sizes[2]).toBe(1)
    expect(samplesPerPiece(network, 5)).toBe(4)
  })
})

async function eventsOf(
  settings: Partial<DistillSettings> & { method: string; iterations: number },
): Promise<{ events: RunEvent[]; images: Float32Array }> {
  const running = distill(data, { ...general, ...settings, device })
  const events: RunEvent[] = []
  for await (const event of running) events.push(event)
  return { events, images: (await running.result).images }
}
const losses = (events: readonly RunEvent[]) => events.flatMap((event) => (event.type === 'step' ? [event.loss] : []))
const looks = (events: readonly RunEvent[]) => events.flatMap((event) => (event.type === 'pruning' ? [event] : []))

describe('a run of a gradient method with dynamic pruning', () => {
  const loops = { outerLoop: 3, innerLoop: 2 }

  it.each(['dc', 'dsa'])(
    'looks every so many matching steps of %s, and matches as a run without where nothing is dropped',
    async (method) => {
      const run = { method, iterations: 4, methodOptions: loops }
      const plain = await eventsOf(run)
      const nothing = await eventsOf({ ...run, dynamic: { betaLow: 0, betaHigh: 0, every: 2, probes: 4 } })
      // 12 matching steps, three an iteration: looks at 1, 3, 5, …
      expect(looks(nothing.events)).toMatchObject(
        [1, 3, 5, 7, 9, 11].map((matching) => ({ matching, step: Math.ceil(matching / 3), drawn: 18, used: 18, fallbacks: 0, masked: 0 })),
      )
      for (const [i, loss] of losses(nothing.events).entries()) expect(Math.abs(loss / losses(plain.events)[i] - 1)).toBeLessThan(1e-3)
      const some = await eventsOf({ ...run, dynamic: { betaLow: 0.2, betaHigh: 0.2, every: 4, probes: 4 } })
      expect(looks(some.events).map(({ matching }) => matching)).toEqual([1, 5, 9])
      for (const { drawn, used, masked } of looks(some.events)) {
        expect(used).toBeLessThan(drawn)
        expect(masked).toBeGreaterThan(0)
      }
      expect(some.images).not.toEqual(nothing.images)
    },
  )

  it('leaves out the smallest and the largest of each class by rank, at two batch sizes in one step', async () => {
    const dynamic = { mode: 'rank', betaLow: 0.25, betaHigh: 0.25, every: 2, probes: 2 } as const
    const { events } = await eventsOf({ method: 'dc', iterations: 4, methodOptions: { outerLoop: 2 }, dynamic })
    // trunc(12 / 4) and trunc(6 / 4) of each end
    expect(looks(events).map(({ used }) => used)).toEqual(new Array(4).fill(6 + 4))
  })

  it('ends as a run that diverges when the images do, and goes back where it may', async () => {
    const settings = { method: 'dc', iterations: 40, imageLr: 1e300, dynamic: { every: 1, probes: 2 } } as const
    await expect(eventsOf(settings)).rejects.toMatchObject({ code: 'not_finite', message: expect.stringMatching(/image-lr/) })
    const tried = eventsOf({ ...settings, onDivergence: 'rollback' })
    await expect(tried).rejects.toMatchObject({ code: 'not_finite', message: expect.stringMatching(/after 3 rollbacks/) })
  })

  it('leaves nothing on the device', async () => {
    const before = device.memory().arrayBytes
    await eventsOf({ method: 'dsa', iterations: 3, methodOptions: loops, dynamic: { every: 2, betaLow: 0.4, betaHigh: 0.4, probes: 2 } })
    expect(device.memory().arrayBytes).toBe(before)
  })

  it('refuses batch norm with the reason', () => {
    expect(() => distill(data, { ...general, method: 'dc', network: 'convnet-bn', dynamic: {}, device })).toThrow(
      /under batch norm every sample moves every other/,
    )
  })
})

describe('aludel distill --dynamic with a gradient method', () => {
  it('continues after a stop to the bytes of a run that nobody touched, at another number of threads', async () => {
    const settings = [
      ...['--method', 'dsa', '--real-batch', '6', '--network', 'mlp', '--seed', '5', '--set', 'outerLoop=3', '--set', 'innerLoop=2'],
      ...['--dynamic', 'bilp:every=4,betaHigh=0.3,probes=2'],
    ]
    const { iterations, looks } = await expectEqualAfterStop(settings, 5)
    expect(looks).toBe(Math.ceil((iterations * 3) / 4))
  })
})
