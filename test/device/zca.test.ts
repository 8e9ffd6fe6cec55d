/** @file ZCA: the exact covariance, both orders, inverse, cache, artifact, evaluation and continuation under one whitening. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDataset, type Dataset } from '../../src/data/index.js'
import { unwhiten, type Whitening } from '../../src/data/whitening.js'
import { distill } from '../../src/distill/index.js'
import { symmetricEigen } from '../../src/engine/reference/symmetric-eigen.js'
import { Device } from '../../src/engine/runtime/device.js'
import { evaluate, evaluateModel, herdingSet, randomRealSet, trainModels } from '../../src/evaluate/index.js'
import { checkpointStore, createSyntheticSet, loadSyntheticSet, readManifest } from '../../src/experiment/index.js'
import { displayPixels } from '../../src/experiment/synthetic-set.js'
import { nchwToNhwc, nhwcToNchw } from '../../src/nn/layout.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { fitZca, readWhitening, whiten } from '../../src/preprocess/index.js'
import { expectError, freshDir } from '../unit/data/fixtures.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const [h, w, c] = [8, 8, 3]
const d = h * w * c

/** Smooth images of two classes that differ in slope, so that neighbouring pixels are correlated as those of photographs are. */
function images(count: number, split: 'train' | 'test' = 'train', salt = 0): Dataset {
  let state = 7 + salt
  const random = () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    return state / 2 ** 31
  }
  const pixels = new Uint8Array(count * d)
  for (let n = 0; n < count; n++) {
    const [base, x, y] = [60 + 100 * random(), 8 * random() * (n % 2 === 0 ? 1 : -1), 10 * random() - 5]
    for (let i = 0; i < d; i++) {
      const [row, column, channel] = [Math.floor(i / (w * c)), Math.floor(i / c) % w, i % c]
      pixels[n * d + i] = base + x * column + y * row + 15 * channel + 6 * random()
    }
  }
  const labels = Int32Array.from({ length: count }, (_, n) => n % 2)
  const fields = { name: 'slopes', split, classes: ['up', 'down'], images: pixels, shape: [count, h, w, c] as const, labels }
  return createDataset({ ...fields, shape: [count, h, w, c], mean: [0.4, 0.45, 0.5], std: [0.2, 0.25, 0.3], flip: false })
}

/** Mean, T and inverse in float64, from the definition. */
function reference({ images: bytes, shape: [n] }: Dataset, channels: { mean: readonly number[]; std: readonly number[] }, eps: number) {
  const scaled = Float64Array.from(bytes, (u, i) => (u / 255 - channels.mean[i % c]) / channels.std[i % c])
  const x = nhwcToNchw(scaled, [n, h, w, c])
  const mean = Float64Array.from({ length: d }, (_, j) => {
    let sum = 0
    for (let i = 0; i < n; i++) sum += x[i * d + j]
    return sum / n
  })
  const covariance = new Float64Array(d * d)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < d; j++)
      for (let k = 0; k < d; k++) covariance[j * d + k] += ((x[i * d + j] - mean[j]) * (x[i * d + k] - mean[k])) / (n - 1)
  }
  const { values, vectors } = symmetricEigen(covariance, d)
  const power = (exponent: number) => {
    const product = new Float64Array(d * d)
    for (let e = 0; e < d; e++) {
      const factor = (Math.max(0, values[e]) + eps) ** exponent
      for (let j = 0; j < d; j++) for (let k = 0; k < d; k++) product[j * d + k] += factor * vectors[e * d + j] * vectors[e * d + k]
    }
    return product
  }
  const transform = power(-0.5)
  const whitened = new Float64Array(n * d)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < d; j++) {
      for (let k = 0; k < d; k++) whitened[i * d + k] += (x[i * d + j] - mean[j]) * transform[j * d + k]
    }
  }
  return { mean, transform, inverse: power(0.5), whitened: nchwToNhwc(whitened, [n, c, h, w]) }
}

function largest(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length)
  let most = 0
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i] - b[i]))
  return most
}

describe.each([
  ['raw', { mean: [0, 0, 0], std: [1, 1, 1] }],
  ['normalised', { mean: [0.4, 0.45, 0.5], std: [0.2, 0.25, 0.3] }],
] as const)('order %s', (order, channels) => {
  it('is the definition, and its inverse gives the images back', async () => {
    const train = images(90)
    const zca = await fitZca(train, { device, order, eps: 0.1 })
    const wanted = reference(train, channels, 0.1)
    expect(zca.channels).toEqual(channels)
    expect(largest(zca.mean, wanted.mean)).toBeLessThan(1e-6)
    expect(largest(zca.transform, wanted.transform)).toBeLessThan(2e-6)
    expect(largest(zca.inverse, wanted.inverse)).toBeLessThan(2e-6)
    const seen = await whiten(train, zca, { device })
    expect([seen.mean, seen.std, seen.sha256]).toEqual([channels.mean, channels.std, train.sha256])
    expect(largest(seen.whitened?.pixels ?? [], wanted.whitened)).toBeLessThan(2e-5)
    const back = await unwhiten((seen.whitened?.pixels ?? new Float32Array()).slice(0, 3 * d), zca)
    for (let i = 0; i < back.length; i++) {
      expect((back[i] * channels.std[i % c] + channels.mean[i % c]) * 255).toBeCloseTo(train.images[i], 2)
    }
  })
})

it('counts every image once where batches of 1024 leave a rest, to the last bit the same at any number of threads', async () => {
  const train = images(2100)
  const zca = await fitZca(train, { device })
  const { mean, transform } = reference(train, { mean: [0, 0, 0], std: [1, 1, 1] }, 0.1)
  expect(largest(zca.mean, mean)).toBeLessThan(1e-6)
  expect(largest(zca.transform, transform)).toBeLessThan(2e-6)
  for (const threads of [1, 3]) {
    const other = await Device.open({ threads })
    expect((await fitZca(train, { device: other })).sha256).toBe(zca.sha256)
    await other.close()
  }
})

it('keeps whitened pixels with their rows', async () => {
  const seen = await whiten(images(12), await fitZca(images(12), { device }), { device })
  const part = seen.subset([7, 2])
  expect(part.whitened?.pixels).toEqual(
    Float32Array.from([7, 2].flatMap((row) => [...(seen.whitened?.pixels.subarray(row * d, (row + 1) * d) ?? [])])),
  )
})

describe('a run under a whitening', () => {
  const settings = { method: 'dm', ipc: 2, iterations: 4, realBatch: 8, network: 'convnet', augment: 'none' } as const
  let train: Dataset
  let seen: Dataset
  let zca: Whitening
  beforeAll(async () => {
    train = images(60)
    zca = await fitZca(train, { device })
    seen = await whiten(train, zca, { device })
  })

  it('starts from whitened images and says what it is under', async () => {
    const run = distill(seen, { ...settings, iterations: 1, imageLr: 1e-12, device })
    const set = await run.result
    expect(set.config).toMatchObject({ zca: 'raw', zcaEps: 0.1, zcaSha256: zca.sha256 })
    expect(set.whitening?.sha256).toBe(zca.sha256)
    const [row] = set.sourceIds ?? []
    expect(largest(set.images.subarray(0, d), seen.whitened?.pixels.subarray(row * d, (row + 1) * d) ?? [])).toBeLessThan(1e-6)
    // for the eye it is the real image again
    expect(largest((await displayPixels(set)).subarray(0, d), train.images.subarray(row * d, (row + 1) * d))).toBeLessThanOrEqual(1)
  })

  it.each([
    ['datadam', convNet({ input: [h, w, c], classes: 2, depth: 2, width: 8 })],
    ['dc', 'convnet'],
    ['dc', convNet({ input: [h, w, c], classes: 2, depth: 1, width: 8, norm: 'batch' })],
  ])('works with %s', async (method, network) => {
    const run = distill(seen, { method, ipc: 1, iterations: 1, realBatch: 4, network, augment: 'none', device })
    expect((await run.result).whitening?.sha256).toBe(zca.sha256)
  })

  it('is saved with its whitening and loaded again, and refuses a file that is another or damaged', async () => {
    const dir = freshDir()
    const set = await distill(seen, { ...settings, device }).result
    await set.save(dir)
    expect((await readManifest(dir)).zca).toEqual({ file: 'zca.safetensors', order: 'raw', eps: 0.1, sha256: zca.sha256 })
    const loaded = await loadSyntheticSet(dir)
    expect(loaded.images).toEqual(set.images)
    expect(loaded.whitening).toEqual(zca)
    expect(await readWhitening(join(dir, 'zca.safetensors'))).toEqual(zca)
    const path = join(dir, 'zca.safetensors')
    const whole = Uint8Array.from(readFileSync(path))
    for (const at of [0, 40, whole.length - 1]) {
      writeFileSync(
        path,
        whole.map((byte, i) => (i === at ? byte ^ 0x10 : byte)),
      )
      await expectError(() => loadSyntheticSet(dir), 'invalid_data', /zca\.safetensors: expected sha256/)
      await expectError(() => readWhitening(path), 'invalid_data', /zca\.safetensors/)
    }
  })

  it('is evaluated on test images under the same whitening', async () => {
    const set = await distill(seen, { ...settings, device }).result
    const test = images(40, 'test', 99)
    const options = { networks: ['convnet'], repeats: 1, epochs: 30, augment: 'none', device }
    const [plain] = await evaluate(set, { ...options, test })
    const [whitened] = await evaluate(set, { ...options, test: await whiten(test, zca, { device }) })
    expect(plain.values).toEqual(whitened.values)
    // a set that says nothing of a whitening cannot be measured on whitened images, nor one under another whitening
    const { whitening: _, save: __, ...bare } = set
    await expectError(() => evaluate(createSyntheticSet(bare), { ...options, test: seen }), 'invalid_data', /images that are not whitened/)
    const other = await fitZca(images(30, 'train', 5), { device })
    await expectError(
      async () => evaluate(set, { ...options, test: await whiten(test, other, { device }) }),
      'invalid_data',
      /whitened by another whitening/,
    )
  })

  it('gives models that whiten their own input: ONNX Runtime measures what the engine does, from plain images', async () => {
    const set = randomRealSet(seen, 20, 0)
    const test = images(40, 'test', 99)
    const options = { networks: ['convnet'], repeats: 2, epochs: 60, augment: 'none', device }
    const [engine, runtime] = await Promise.all(
      (['engine', 'onnx'] as const).map(async (inference) => (await evaluate(set, { ...options, test, inference }))[0]),
    )
    expect(Math.max(...engine.values)).toBeGreaterThan(60) // or equal ones would say little
    expect(runtime).toEqual({ ...engine, inference: 'onnx' })
    const accuracies: number[] = []
    await trainModels(set, options, async ({ bytes }) => {
      accuracies.push((await evaluateModel(bytes, { test, device })).accuracy)
    })
    expect(accuracies).toEqual(engine.values)
  })

  it('has baselines of whitened real images', async () => {
    for (const set of [randomRealSet(seen, 2, 0), await herdingSet(seen, 2, { device, epochs: 1 })]) {
      const [row] = set.sourceIds ?? []
      expect(set.whitening?.sha256).toBe(zca.sha256)
      expect(set.images.subarray(0, d)).toEqual(seen.whitened?.pixels.subarray(row * d, (row + 1) * d))
    }
  })

  it('continues under the same whitening to the same bits, and under no other', async () => {
    const whole = await distill(seen, { ...settings, iterations: 6, device }).result
    const checkpoints = checkpointStore(freshDir())
    await distill(seen, { ...settings, iterations: 3, device, checkpoints, checkpointEvery: 1 }).result
    const other = await whiten(train, await fitZca(train, { device, eps: 0.2 }), { device })
    await expectError(() => distill(other, { ...settings, iterations: 6, device, checkpoints }).result, 'incompatible', /zcaEps|zcaSha256/)
    await expectError(() => distill(train, { ...settings, iterations: 6, device, checkpoints }).result, 'incompatible', /zca/)
    expect((await distill(seen, { ...settings, iterations: 6, device, checkpoints }).result).images).toEqual(whole.images)
  })
})

describe('the cache of whitenings', () => {
  it('is read, is made again when damaged, and tells data and rule apart', async () => {
    const [train, cache] = [images(20), join(freshDir(), 'cache')]
    const first = await fitZca(train, { device, cache })
    const [name] = readdirSync(cache)
    const path = join(cache, name)
    const whole = Uint8Array.from(readFileSync(path))
    expect(await fitZca(train, { device, cache })).toEqual(first)
    for (const damaged of [whole.subarray(0, 100), whole.map((byte, i) => (i === whole.length - 5 ? byte ^ 1 : byte))]) {
      writeFileSync(path, damaged)
      expect((await fitZca(train, { device, cache })).sha256).toBe(first.sha256)
      expect(Uint8Array.from(readFileSync(path))).toEqual(whole)
    }
    await fitZca(train, { device, cache, eps: 0.5 })
    await fitZca(train, { device, cache, order: 'normalised' })
    await fitZca(images(20, 'train', 3), { device, cache })
    expect(readdirSync(cache)).toHaveLength(4)
  })
})

describe('refuses', () => {
  it.each<[string, () => Promise<unknown>, string, RegExp]>([
    ['another order', () => fitZca(images(4), { device, order: 'both' as 'raw' }), 'invalid_option', /'raw' or 'normalised'/],
    ['an eps of 0', () => fitZca(images(4), { device, eps: 0 }), 'invalid_option', /a number > 0/],
    ['one image', () => fitZca(images(4).subset([0]), { device }), 'invalid_data', /at least two images/],
    ['no device', () => fitZca(images(4), {} as never), 'invalid_option', /an open device/],
    ['what is no whitening', () => whiten(images(4), {} as Whitening, { device }), 'invalid_data', /what fitZca gives/],
  ])('%s', (_, action, code, message) => expectError(action, code, message))

  it('images of another size, or whitened twice', async () => {
    const zca = await fitZca(images(4), { device })
    const small = createDataset({
      name: 's',
      split: 'test',
      classes: ['a'],
      images: new Uint8Array(4),
      shape: [1, 2, 2, 1],
      labels: [0],
      mean: [0],
      std: [1],
      flip: false,
    })
    await expectError(() => whiten(small, zca, { device }), 'invalid_data', /images \[2, 2, 1\]/)
    const seen = await whiten(images(4), zca, { device })
    expect(await whiten(seen, zca, { device })).toBe(seen)
    await expectError(() => fitZca(seen, { device }), 'invalid_data', /whitened already/)
    await expectError(() => createDataset({ ...seen }), 'invalid_option', /whiten the data set that is made/)
  })

  it('to go on after an abort', async () => {
    await expect(fitZca(images(40), { device, signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
  })
})
