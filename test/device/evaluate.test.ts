/** @file Evaluation through its public function: what is checked before anything trains, results as they come, and an abort on the way. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Device } from '../../src/engine/runtime/device.js'
import { evaluate, herdingSet, nearestReal, randomRealSet } from '../../src/evaluate/index.js'
import type { EvaluateOptions, EvaluationResult } from '../../src/experiment/types.js'
import { stripes } from '../method/contract.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const dataset = stripes([40, 40, 40])
const start = (options: Partial<EvaluateOptions<Device>>) =>
  evaluate(randomRealSet(dataset, 2, 0), { networks: ['mlp'], repeats: 2, epochs: 4, test: dataset, device, ...options })

it('knows every network before the first one trains', async () => {
  const reports: string[] = []
  const onProgress = ({ network }: { network: string }) => reports.push(network)
  await expect(start({ networks: ['mlp', 'convnet-d9'], onProgress })).rejects.toMatchObject({
    code: 'not_found',
    message: expect.stringContaining('convnet-d9'),
  })
  expect(reports).toEqual([])
})

it('hands over each result as it comes, and keeps those before an abort', async () => {
  const controller = new AbortController()
  const kept: EvaluationResult[] = []
  const run = start({
    networks: ['mlp', 'convnet-bn', 'convnet'],
    signal: controller.signal,
    onResult(result) {
      kept.push(result)
      if (kept.length === 2) controller.abort()
    },
  })
  await expect(run).rejects.toMatchObject({ name: 'AbortError' })
  expect(kept.map(({ network }) => network)).toEqual(['mlp', 'convnet-bn'])
  const whole = await start({ networks: ['mlp', 'convnet-bn'] })
  expect(kept).toEqual(whole)
})

it('ends between two steps, not after the epochs of a report', async () => {
  const controller = new AbortController()
  let reports = 0
  const set = randomRealSet(dataset, 40, 0)
  const run = evaluate(set, {
    networks: ['convnet'],
    repeats: 1,
    epochs: 1000,
    test: dataset,
    device,
    signal: controller.signal,
    onProgress: () => reports++,
  })
  // The first look comes after ten epochs of 120 images: long after the abort.
  setTimeout(() => controller.abort(), 1)
  await expect(run).rejects.toMatchObject({ name: 'AbortError' })
  expect(reports).toBe(0)
  expect(device.memory()).toMatchObject({ arrayBytes: 0, constantBytes: 0, workspaceBytes: 0 })
})

it('redraws images per network, all of one shape', async () => {
  const asked: number[] = []
  const source = (network: number) => {
    asked.push(network)
    return randomRealSet(dataset, 40, 0, network)
  }
  const [result] = await evaluate(source, { networks: ['mlp'], repeats: 3, epochs: 1, test: dataset, device })
  expect(result.n).toBe(3)
  expect([...new Set(asked)].sort()).toEqual([0, 1, 2])
  const other = (network: number) => randomRealSet(dataset, 1 + network, 0)
  await expect(evaluate(other, { networks: ['mlp'], repeats: 2, epochs: 1, test: dataset, device })).rejects.toMatchObject({
    code: 'invalid_data',
  })
})

it('reports classes and the interval of the mean', async () => {
  const [result] = await start({ networks: ['convnet'], epochs: 30 })
  const classes = result.perClass as number[]
  expect(classes).toHaveLength(3)
  expect(classes.reduce((a, b) => a + b) / 3).toBeCloseTo(result.mean, 9)
  const [low, high] = result.interval as [number, number]
  expect((low + high) / 2).toBeCloseTo(result.mean, 9)
  // Two networks: half the width is t(0.975, 1) |a - b| / 2.
  expect(high - low).toBeCloseTo(12.7062 * Math.abs(result.values[0] - result.values[1]), 3)
})

it('chooses real images of each class by herding, the same at any number of threads', async () => {
  const sets = []
  for (const threads of [1, 3]) {
    const own = await Device.open({ threads })
    sets.push(await herdingSet(dataset, 3, { device: own, epochs: 1, seed: 1 }))
    expect(own.memory()).toMatchObject({ arrayBytes: 0, constantBytes: 0, workspaceBytes: 0 })
    await own.close()
  }
  const [set, again] = sets
  expect([...set.labels]).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2])
  expect(new Set(set.sourceIds).size).toBe(9)
  expect(again.sourceIds).toEqual(set.sourceIds)
  expect(set.images).not.toEqual(randomRealSet(dataset, 3, 1).images)
})

it('finds the nearest real image of every image, its own where it is a copy', async () => {
  const rows = [7, 100, 33]
  const images = dataset.subset(rows).images
  const exact = await nearestReal(images, dataset, { device })
  expect([...exact.rows]).toEqual(rows)
  expect([...exact.distances]).toEqual([0, 0, 0])
  const noisy = images.map((u, i) => Math.max(0, Math.min(255, u + ((i * 7) % 31) - 15)))
  const pixels = images.length / 3
  const distance = (i: number, row: number) =>
    Math.sqrt(
      Array.from({ length: pixels }, (_, p) => ((noisy[i * pixels + p] - dataset.images[row * pixels + p]) / 255) ** 2).reduce(
        (a, b) => a + b,
      ) / pixels,
    )
  const { rows: found, distances } = await nearestReal(noisy, dataset, { device })
  for (const i of rows.keys()) {
    const all = Array.from({ length: dataset.shape[0] }, (_, row) => distance(i, row))
    expect(distances[i]).toBeCloseTo(Math.min(...all), 9)
    expect(distance(i, found[i])).toBeCloseTo(distances[i], 9)
  }
})
