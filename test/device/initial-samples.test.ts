/** @file Where soft-labelled sets start: images and labels from experts, against logits computed in float64 from the flat checkpoints. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createDataset } from '../../src/data/dataset.js'
import { initialImages } from '../../src/distill/initial-images.js'
import type { ExpertCheckpoints } from '../../src/distill/trajectory/expert-logits.js'
import { initialByOneExpert, initialByPrediction } from '../../src/distill/trajectory/initial.js'
import { Device } from '../../src/engine/runtime/device.js'
import { keyOf } from '../../src/engine/tensor/key.js'
import { normal, uniform } from '../../src/engine/tensor/philox.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { mlp } from '../../src/nn/networks/mlp.js'
import { networkPixels } from '../../src/preprocess/row-source.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const input = [4, 4, 2] as const
const classes = 3
const counts = [40, 31, 25]
const features = 32
/** A linear layer: its logits are short enough to be written out. */
const network = mlp({ input, classes, depth: 1 })
const parameters = classes * (features + 1)
const epochs = 4

const labels = Int32Array.from(counts.flatMap((count, c) => new Array<number>(count).fill(c)))
const dataset = createDataset({
  ...{ name: 'noise', split: 'train', classes: ['a', 'b', 'c'], labels, mean: [0.4, 0.5], std: [0.25, 0.3], flip: true },
  images: Uint8Array.from(uniform(keyOf(3), 0, 1, labels.length * features), (u) => Math.floor(256 * u)),
  shape: [labels.length, ...input],
})
const pixels = networkPixels(dataset)

/** Flat parameters: weight [classes, C, H, W], bias [classes]. */
const checkpoint = (expert: number): Float32Array => Float32Array.from(normal(keyOf(100 + expert), 0, 1, parameters), (v) => 0.3 * v)

const storeOf = (experts: readonly number[], change: (flat: Float32Array) => void = () => {}) => {
  const read: number[] = []
  const store = {
    ...{ dir: 'experts', experts, record: { epochs } },
    async checkpoint(expert: number, epoch: number) {
      expect(epoch).toBe(epochs)
      read.push(expert)
      const flat = checkpoint(expert)
      change(flat)
      return flat
    },
  } as unknown as ExpertCheckpoints
  return { store, read }
}

/** Logits of one image in float64; a linear layer's features are in the order (C, H, W). */
function logitsOf(expert: number, row: number): number[] {
  const flat = checkpoint(expert)
  const [h, w, c] = input
  return Array.from({ length: classes }, (_, k) => {
    let z = flat[classes * features + k]
    for (let channel = 0; channel < c; channel++)
      for (let place = 0; place < h * w; place++)
        z += flat[k * features + channel * h * w + place] * pixels[row * features + place * c + channel]
    return z
  })
}
const predicted = (expert: number, row: number): number => logitsOf(expert, row).reduce((best, z, k, all) => (z > all[best] ? k : best), 0)

const experts = [0, 1, 2, 5]
const ipc = 12

it('takes images that experts classify right, each once, those of the first expert as long as there are some', async () => {
  const { store } = storeOf(experts)
  const { sourceIds, images } = await initialByPrediction(device, dataset, network, store, { ipc, seed: 7 })
  expect(sourceIds).toHaveLength(classes * ipc)
  expect(new Set(sourceIds).size).toBe(classes * ipc)
  for (let c = 0; c < classes; c++) {
    const own = [...sourceIds.subarray(c * ipc, (c + 1) * ipc)]
    expect(own.map((row) => labels[row])).toEqual(new Array(ipc).fill(c))
    // the first that is right decides by which scan an image came: scans never go back
    const scans = own.map((row) => experts.findIndex((expert) => predicted(expert, row) === c))
    expect(scans.every((scan, i) => scan >= 0 && (i === 0 || scan >= scans[i - 1]))).toBe(true)
    const rightAtFirst = [...dataset.classIndices(c)].filter((row) => predicted(0, row) === c).length
    expect(scans.filter((scan) => scan === 0)).toHaveLength(Math.min(ipc, rightAtFirst))
  }
  for (const [i, row] of sourceIds.entries())
    expect(images.subarray(i * features, (i + 1) * features)).toEqual(pixels.subarray(row * features, (row + 1) * features))
})

it('labels them with the mean logits of the experts that are right', async () => {
  const { store } = storeOf(experts)
  const { sourceIds, labelLogits } = await initialByPrediction(device, dataset, network, store, { ipc, seed: 7 })
  for (const [i, row] of sourceIds.entries()) {
    const right = experts.filter((expert) => predicted(expert, row) === labels[row])
    for (let k = 0; k < classes; k++) {
      const mean = right.reduce((sum, expert) => sum + logitsOf(expert, row)[k], 0) / right.length
      expect(labelLogits[i * classes + k]).toBeCloseTo(mean, 4)
    }
  }
})

it('gives the same bits at any number of threads, others from another seed, and leaves nothing on the device', async () => {
  const { store } = storeOf(experts)
  const start = (seed: number, at = device) => initialByPrediction(at, dataset, network, store, { ipc: 5, seed })
  const first = await start(1)
  const other = await Device.open({ threads: 3 })
  expect(await start(1, other)).toEqual(first)
  expect(other.memory()).toMatchObject({ arrayBytes: 0, constantBytes: 0, workspaceBytes: 0 })
  await other.close()
  expect((await start(2)).sourceIds).not.toEqual(first.sourceIds)
})

it('says how many images were classified right where they do not suffice', async () => {
  const [only] = experts
  const rights = counts.map((_, c) => [...dataset.classIndices(c)].filter((row) => predicted(only, row) === c).length)
  const enough = Math.min(...rights)
  const { store } = storeOf([only])
  await initialByPrediction(device, dataset, network, store, { ipc: enough, seed: 0 })
  const short = rights.findIndex((right) => right < enough + 1)
  await expect(initialByPrediction(device, dataset, network, store, { ipc: enough + 1, seed: 0 })).rejects.toMatchObject({
    code: 'invalid_option',
    message: `class '${dataset.classes[short]}': expected ${enough + 1} real images that an expert of experts classifies right but received '${enough} after the only expert'; lower ipc to ${enough}, start from init 'real', or train experts longer`,
  })
})

it('takes the images of init real and the logits of the first expert', async () => {
  const { store, read } = storeOf([5, 1])
  const start = await initialByOneExpert(device, dataset, network, store, { ipc: 4, seed: 9 })
  const real = await initialImages(dataset, { ipc: 4, init: 'real', seed: 9 })
  expect([start.images, start.sourceIds]).toEqual([real.images, real.sourceIds])
  expect(read).toEqual([5])
  for (const [i, row] of start.sourceIds.entries())
    for (const [k, z] of logitsOf(5, row).entries()) expect(start.labelLogits[i * classes + k]).toBeCloseTo(z, 4)
})

it('refuses what it cannot start from', async () => {
  const options = { ipc: 2, seed: 0 }
  const { store } = storeOf(experts)
  await expect(initialByPrediction(device, dataset, network, storeOf([]).store, options)).rejects.toMatchObject({
    code: 'invalid_option',
    message: expect.stringContaining('has no finished expert yet'),
  })
  const broken = storeOf(experts, (flat) => flat.fill(Number.NaN, 0, 1))
  await expect(initialByPrediction(device, dataset, network, broken.store, options)).rejects.toMatchObject({
    code: 'not_finite',
    message: expect.stringMatching(/experts: expert 0: a logit of real image \d+ is NaN/),
  })
  const batchNorm = convNet({ input, classes, width: 8, depth: 1, norm: 'batch' })
  await expect(initialByPrediction(device, dataset, batchNorm, store, options)).rejects.toMatchObject({ code: 'invalid_option' })
  await expect(initialByOneExpert(device, dataset, network, store, { ipc: 0, seed: 0 })).rejects.toMatchObject({ code: 'invalid_option' })
  const aborted = initialByPrediction(device, dataset, network, store, { ...options, signal: AbortSignal.abort() })
  await expect(aborted).rejects.toMatchObject({ name: 'AbortError' })
  expect(device.memory()).toMatchObject({ arrayBytes: 0 })
})
