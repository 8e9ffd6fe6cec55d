/** @file The event loop belongs to the caller: in steady state nothing here holds it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { distill } from '../../src/distill/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { evaluate, evaluateModel, randomRealSet } from '../../src/evaluate/index.js'
import { trainExperts } from '../../src/experts/index.js'
import { exportOnnx } from '../../src/export/onnx/export-network.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { stripes } from '../method/contract.js'
import { randomTensors } from './network-tensors.js'

let device: Device
beforeAll(async () => {
  // One thread, so that this process leaves a core to the loop.
  device = await Device.open({ threads: 1 })
})
afterAll(() => device.close())

const dataset = stripes([60, 60, 60])
const delay = () => monitorEventLoopDelay({ resolution: 1 })

/** Not the maximum: other processes may hold the cores, which is not this thread's doing. */
function expectFree(histogram: ReturnType<typeof delay>): void {
  histogram.disable()
  expect(histogram.max).toBeGreaterThan(0)
  expect(histogram.percentile(95) / 1e6).toBeLessThan(10)
}

it('while a distillation steps', async () => {
  const histogram = delay()
  const run = distill(dataset, { method: 'dm', ipc: 5, iterations: 60, realBatch: 50, augment: 'dsa', device })
  for await (const event of run) if (event.type === 'step' && event.step === 5) histogram.enable()
  expectFree(histogram)
})

it('while networks train and are measured', async () => {
  const histogram = delay()
  const set = randomRealSet(dataset, 10, 0)
  const started = () => histogram.enable()
  await evaluate(set, { networks: ['convnet'], repeats: 2, epochs: 30, augment: 'dsa', test: dataset, device, onProgress: started })
  expectFree(histogram)
})

it('while experts are trained and stored', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'experts-'))
  const histogram = delay()
  const onProgress = ({ done }: { readonly done: number }) => done > 2 && histogram.enable()
  await trainExperts(dir, dataset, { experts: 1, epochs: 12, optimizer: 'gsam', device, onProgress })
  expectFree(histogram)
  rmSync(dir, { recursive: true })
})

it('while an ONNX model is measured', async () => {
  const histogram = delay()
  const many = stripes([900, 900, 900])
  const [, height, width, channels] = many.shape
  const network = convNet({ input: [height, width, channels], classes: 3 })
  const model = await exportOnnx(network, randomTensors(network), many)
  const started = () => histogram.enable()
  await evaluateModel(model, { test: many, device, onProgress: started })
  expectFree(histogram)
})
