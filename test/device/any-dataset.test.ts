/** @file Data sets given as iterators: distilled and evaluated as the same images in arrays are, and refused through the run's result. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { asDataset, createDataset, type SampleSource } from '../../src/data/index.js'
import { distill } from '../../src/distill/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { evaluate } from '../../src/evaluate/index.js'
import { stripes } from '../method/contract.js'
import { expectError } from '../unit/data/fixtures.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const whole = asDataset(stripes([12, 12]))
const [count, ...image] = whole.shape
const bytes = image.reduce((product, side) => product * side, 1)

async function* samples(to = count) {
  for (let i = 0; i < to; i++) yield { pixels: whole.images.subarray(i * bytes, (i + 1) * bytes), label: whole.labels[i] }
}

const source = (given: SampleSource['samples'] = samples()): SampleSource => {
  const { name, classes, mean, std, flip } = whole
  return { name, classes, mean, std, flip, image, samples: given }
}

const settings = { method: 'dm', ipc: 1, iterations: 2, realBatch: 4, augment: 'none' } as const

it('gives the bits of the same images in arrays', async () => {
  const run = distill(source(), { ...settings, device })
  const steps: number[] = []
  for await (const event of run) if (event.type === 'step') steps.push(event.step)
  const [streamed, direct] = [await run.result, await distill(whole, { ...settings, device }).result]
  expect(steps).toEqual([1, 2])
  expect(streamed.images).toEqual(direct.images)
  expect(streamed.source.sha256).toBe(whole.sha256)
  const options = { networks: ['convnet'], repeats: 1, epochs: 3, augment: 'none', device }
  const [measured] = await evaluate(direct, { ...options, test: source() })
  const [expected] = await evaluate(direct, { ...options, test: whole })
  expect(measured.values).toEqual(expected.values)
})

it('rejects the result for what is wrong in the stream or in the settings, and throws for options at once', async () => {
  await expectError(() => distill(source([]), { ...settings, device }).result, 'invalid_data', /gave no image/)
  await expectError(() => distill(source(), { ...settings, ipc: 500, device }).result, 'invalid_option', /at least 500 images/)
  expect(() => distill(source(), { ...settings, device: 'cpu' as never })).toThrow(/an open device/)
  const failing = async function* () {
    yield* samples(3)
    throw new Error('the source broke off')
  }
  await expect(distill(source(failing()), { ...settings, device }).result).rejects.toThrow('the source broke off')
})

it('reads nothing for a run that is aborted before it begins, and leaves no rejection unheard', async () => {
  const run = distill(source([]), { ...settings, device, signal: AbortSignal.abort() })
  await expect(run.result).rejects.toMatchObject({ name: 'AbortError' })
  await new Promise(setImmediate)
  expect((await createDataset(source())).sha256).toBe(whole.sha256)
})
