/** @file A signal that outlives many calls: each takes its listeners away, however it ends. A service has one signal for days. */
import { getEventListeners } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { decodeImages } from '../../src/data/decode-images.js'
import { perSampleLoss } from '../../src/direct/index.js'
import { distill } from '../../src/distill/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { evaluate, herdingSet, randomRealSet } from '../../src/evaluate/index.js'
import { fitZca, whiten } from '../../src/preprocess/index.js'
import { stripes } from '../method/contract.js'
import { image, twoClasses } from '../unit/data/image-specs.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 1 })
})
afterAll(() => device.close())

const dataset = stripes([6, 6, 6])
const settings = { method: 'dm', ipc: 1, iterations: 3, realBatch: 2, network: 'mlp' }
const evaluation = () => ({ networks: ['mlp'], repeats: 1, epochs: 1, test: dataset, device })

/** The call, and whether it ends well. */
const calls: Readonly<Record<string, readonly [call: (signal: AbortSignal) => Promise<unknown>, ends: 'well' | 'in an error']>> = {
  'a run': [(signal) => distill(dataset, { ...settings, device, signal }).result, 'well'],
  'a run of gradient matching': [(signal) => distill(dataset, { ...settings, method: 'dc', device, signal }).result, 'well'],
  'a run that diverges': [(signal) => distill(dataset, { ...settings, imageLr: 1e300, device, signal }).result, 'in an error'],
  'a run that is refused': [async (signal) => distill(dataset, { ...settings, ipc: 99, device, signal }).result, 'in an error'],
  'a run whose events nobody reads on': [
    async (signal) => {
      const run = distill(dataset, { ...settings, device, signal })
      for await (const _ of run) break
      return run.result
    },
    'well',
  ],
  'a run whose device is closed': [
    async (signal) => {
      const other = await Device.open({ threads: 1 })
      const run = distill(dataset, { ...settings, iterations: 100_000, device: other, signal })
      for await (const event of run) if (event.type === 'step') await other.close()
      return run.result
    },
    'in an error',
  ],
  'an evaluation': [(signal) => evaluate(randomRealSet(dataset, 1, 0), { ...evaluation(), signal }), 'well'],
  'an evaluation by the engine': [
    (signal) => evaluate(randomRealSet(dataset, 1, 0), { ...evaluation(), inference: 'engine', signal }),
    'well',
  ],
  herding: [(signal) => herdingSet(dataset, 1, { device, epochs: 1, signal }), 'well'],
  'a direct kernel': [
    (signal) => perSampleLoss({ data: new Float32Array(4), shape: [2, 2] }, Int32Array.of(0, 1), { device, signal }),
    'well',
  ],
  'a whitening': [async (signal) => whiten(dataset, await fitZca(dataset, { device, signal }), { device, signal }), 'well'],
  'the decoding of images': [
    async (signal) => decodeImages([join(await twoClasses({ train: [image(1)] }), 'train/a/0.png')], { signal }),
    'well',
  ],
}

it.each(Object.keys(calls))('%s', async (name) => {
  const { signal } = new AbortController()
  const [call, ends] = calls[name]
  const outcome = await call(signal).then(
    () => 'well',
    (error) => `in an error ${error.code}`,
  )
  expect(outcome).toMatch(new RegExp(`^${ends}`))
  expect(getEventListeners(signal, 'abort')).toEqual([])
})
