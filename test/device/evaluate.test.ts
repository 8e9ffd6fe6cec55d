/** @file Evaluation through its public function: what is checked before anything trains, results as they come, and an abort on the way. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Device } from '../../src/engine/runtime/device.js'
import { evaluate, randomRealSet } from '../../src/evaluate/index.js'
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
