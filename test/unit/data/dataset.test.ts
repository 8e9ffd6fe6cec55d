/** @file Data sets in memory, the MNIST family, opening by name, the bundled subset. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createDataset } from '../../../src/data/dataset.js'
import { bundledFashionMnist, fashionMnist } from '../../../src/data/fashion-mnist.js'
import { mnist } from '../../../src/data/mnist.js'
import { denormalizeImages, normalizeImages, scaleShift } from '../../../src/data/normalize.js'
import { openDataset } from '../../../src/data/open.js'
import { encodeIdx, expectError, freshDir, mnistDir, ramp, tinyDataset, write } from './fixtures.js'

describe('createDataset', () => {
  it('groups rows by class and copies subsets', () => {
    const set = tinyDataset([3, 1, 2])
    expect([...set.labels]).toEqual([0, 1, 2, 0, 2, 0])
    expect([...set.classIndices(0)]).toEqual([0, 3, 5])
    const part = set.subset([4, 1])
    expect([...part.labels]).toEqual([2, 1])
    expect([...part.images]).toEqual([4, 4, 4, 4, 1, 1, 1, 1])
    expect(part.sha256).not.toBe(set.sha256)
    expect(set.subset([0, 1, 2, 3, 4, 5]).sha256).toBe(set.sha256)
  })

  const fields = { ...tinyDataset([2, 2]) }
  it.each<[string, object, RegExp]>([
    ['a wrong pixel count', { images: ramp(3) }, /images: expected 16 bytes/],
    ['a wrong label count', { labels: Int32Array.of(0) }, /labels: expected 4 labels/],
    ['a label out of range', { labels: Int32Array.of(0, 1, 2, 0) }, /label of image 2: expected a class in \[0, 2\) but received 2/],
    ['a negative label', { labels: Int32Array.of(0, -1, 0, 0) }, /label of image 1/],
    ['a zero std', { std: [0] }, /std: expected 1 positive/],
    ['a NaN mean', { mean: [Number.NaN] }, /mean/],
    ['no classes', { classes: [] }, /at least one class/],
    ['a broken shape', { shape: [4, 2, 2] }, /four whole numbers/],
  ])('refuses %s', (_, change, text) => expectError(() => createDataset({ ...fields, ...change }), 'invalid_data', text))

  it('refuses bad rows and classes', async () => {
    const set = tinyDataset([2, 2])
    await expectError(() => set.subset([0, 4]), 'invalid_index', /index 1: expected a row in \[0, 4\) but received 4/)
    await expectError(() => set.subset([]), 'invalid_option', /at least one/)
    await expectError(() => set.classIndices(2), 'invalid_index', /class/)
  })
})

describe('mnist and fashionMnist', () => {
  it('read plain and gzip files alike', async () => {
    const dir = mnistDir()
    const train = await mnist(dir, 'train')
    const test = await mnist(dir, 'test')
    expect(train.shape).toEqual([20, 4, 3, 1])
    expect(test.images).toEqual(train.images)
    expect(test.sha256).toBe(train.sha256)
    expect([train.flip, (await fashionMnist(dir)).flip]).toEqual([false, true])
    expect([train.mean, train.std]).toEqual([[0.1307], [0.3081]])
  })

  it('refuse files that do not belong together', async () => {
    const dir = mnistDir()
    write(dir, 'train-labels-idx1-ubyte', encodeIdx({ shape: [19], data: ramp(19) }))
    await expectError(() => mnist(dir), 'invalid_data', /train-labels.*expected 20 labels, one per image, but received 19/)
    write(dir, 'train-labels-idx1-ubyte', encodeIdx({ shape: [20], data: ramp(20) }))
    await expectError(() => mnist(dir), 'invalid_data', /label 2: expected a class in \[0, 10\) but received 14/)
  })

  it('name what is missing', () =>
    expectError(() => mnist(freshDir()), 'not_found', /expected one of train-images-idx3-ubyte.*four mnist files/))
})

describe('openDataset', () => {
  it('opens by name and directory', async () => {
    const dir = mnistDir()
    expect((await openDataset(`mnist:${dir}`, 'train')).name).toBe('mnist')
    expect((await openDataset(`fashion-mnist:${dir}`, 'test')).split).toBe('test')
  })

  it.each([
    ['cifar-10:x', /did you mean 'cifar10'\?/],
    ['CIFAR10:x', /did you mean 'cifar10'\?/],
    ['fashion_mnist', /did you mean 'fashion-mnist'\?/],
    ['minst:x', /did you mean 'mnist'\?/],
    ['svhn:x', /known names are cifar10, cifar100, mnist, fashion-mnist, idx, tiny-imagenet, folder, npz/],
    ['constructor', /unknown data set/],
    ['', /unknown data set/],
    ['mnist', /needs the directory.*'mnist:DIR'/],
    ['cifar10:', /needs the directory/],
  ])('refuses %s', (text, message) => expectError(() => openDataset(text), 'invalid_option', message))
})

describe('the bundled Fashion-MNIST subset', () => {
  it('has 500 and 100 images a class and the hashes of SOURCE.md', async () => {
    for (const [split, perClass] of [
      ['train', 500],
      ['test', 100],
    ] as const) {
      const set = await openDataset('fashion-mnist', split)
      expect(set.shape).toEqual([perClass * 10, 28, 28, 1])
      for (let c = 0; c < 10; c++) expect(set.classIndices(c)).toHaveLength(perClass)
    }
    const rows = readFileSync(join(bundledFashionMnist, 'SOURCE.md'), 'utf8').matchAll(/\| (\S+\.gz) \| \d+ \| (\d+) \| (\w{64}) \|/g)
    let files = 0
    let total = 0
    for (const [, name, size, sha256] of rows) {
      const content = new Uint8Array(readFileSync(join(bundledFashionMnist, name)))
      expect([content.length, createHash('sha256').update(content).digest('hex')]).toEqual([Number(size), sha256])
      total += content.length
      files++
    }
    expect(files).toBe(4)
    expect(total).toBeLessThan(4 << 20)
  })
})

describe('normalisation', () => {
  const statistics = { mean: [0.4914, 0.4822, 0.4465], std: [0.2023, 0.1994, 0.201] }

  it('is (u/255 - mean)/std per channel', () => {
    const images = ramp(48)
    const x = normalizeImages(images, statistics)
    images.forEach((u, i) => {
      expect(x[i]).toBeCloseTo((u / 255 - statistics.mean[i % 3]) / statistics.std[i % 3], 5)
    })
    const { scale, shift } = scaleShift(statistics)
    expect(scale[1]).toBeCloseTo(1 / (255 * 0.1994), 8)
    expect(shift[2]).toBeCloseTo(-0.4465 / 0.201, 6)
  })

  it('comes back exactly for every byte, and clips what is outside', () => {
    const images = Uint8Array.from({ length: 768 }, (_, i) => Math.floor(i / 3))
    expect(denormalizeImages(normalizeImages(images, statistics), statistics)).toEqual(images)
    const wild = Float32Array.of(99, -99, Number.NaN)
    expect([...denormalizeImages(wild, statistics)]).toEqual([255, 0, 0])
  })
})
