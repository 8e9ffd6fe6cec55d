/** @file CIFAR-100, IDX and .npz data sets, and data sets of the caller's own: what is read and what is refused. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createDataset, type Sample, type SampleSource } from '../../../src/data/any-dataset.js'
import { cifar100 } from '../../../src/data/cifar100.js'
import { mnist } from '../../../src/data/mnist.js'
import { idx } from '../../../src/data/mnist-family.js'
import { npz } from '../../../src/data/npz-dataset.js'
import { bytes, expectError, freshDir, mnistDir, ramp, write } from './fixtures.js'
import { archive, float64, header, i8, npy, u8, zipBytes } from './zip-archive.js'

describe('cifar100', () => {
  const record = (coarse: number, fine: number) => bytes([coarse, fine], ramp(3072))
  const dirOf = (...records: Uint8Array[]) => {
    const dir = freshDir()
    write(dir, 'train.bin', bytes(...records))
    return dir
  }

  it('reads fine labels, or coarse ones', async () => {
    const dir = dirOf(record(4, 0), record(19, 99))
    const fine = await cifar100(dir)
    expect([fine.shape, [...fine.labels], fine.classes.length]).toEqual([[2, 32, 32, 3], [0, 99], 100])
    expect([fine.classes[0], fine.classes[99], new Set(fine.classes).size]).toEqual(['apple', 'worm', 100])
    // second pixel of the first row: planes of 1024 bytes each
    expect([...fine.images.subarray(3, 6)]).toEqual([1, 1025, 2049].map((i) => (i * 7) & 255))
    const coarse = await cifar100(dir, 'train', { labels: 'coarse' })
    expect([[...coarse.labels], coarse.classes.length, coarse.classes[4]]).toEqual([[4, 19], 20, 'fruit_and_vegetables'])
  })

  it('finds the folder of the archive and its names', async () => {
    const dir = freshDir()
    mkdirSync(join(dir, 'cifar-100-binary'))
    write(join(dir, 'cifar-100-binary'), 'test.bin', record(0, 1))
    write(join(dir, 'cifar-100-binary'), 'fine_label_names.txt', Array.from({ length: 100 }, (_, i) => `name ${i}\n`).join(''))
    expect((await cifar100(dir, 'test')).classes[1]).toBe('name 1')
  })

  it.each<[string, Uint8Array, RegExp]>([
    ['a record cut short', record(1, 1).subarray(0, 3000), /multiple of 3074 bytes/],
    ['a fine label of 100', record(1, 100), /record 0: expected a class in \[0, 100\)/],
    ['records of CIFAR-10', bytes([1], ramp(3072)), /multiple of 3074/],
    ['a pickle', bytes([0x80, 2], ramp(3072)), /pickle/],
  ])('refuses %s', (_, content, message) => expectError(() => cifar100(dirOf(content)), 'invalid_data', message))

  it('refuses other labels and the Python version', async () => {
    await expectError(() => cifar100(dirOf(record(0, 0)), 'train', { labels: 'both' as 'fine' }), 'invalid_option', /'fine' or 'coarse'/)
    const dir = freshDir()
    write(dir, 'test', 'pickle')
    await expectError(() => cifar100(dir, 'test'), 'invalid_data', /never read.*cifar-100-binary/)
  })
})

describe('idx', () => {
  it('reads any four files named as those of MNIST, classes by number', async () => {
    const dir = mnistDir(20)
    const [own, known] = [await idx(dir, 'test'), await mnist(dir, 'test')]
    expect([own.sha256, own.classes, own.flip]).toEqual([known.sha256, known.classes, false])
    expect(own.mean[0]).toBeGreaterThan(0.3)
  })

  it('names the missing file', () => expectError(() => idx(freshDir()), 'not_found', /train-images/))
})

describe('npz', () => {
  it('reads the splits of a file', async () => {
    const path = archive({
      x_train: u8('(3, 2, 2)', ramp(12)),
      y_train: i8(0, 2, 1),
      x_test: u8('(1, 2, 2)', ramp(4)),
      y_test: i8(2),
    })
    const train = await npz(path)
    expect([train.name, train.shape, [...train.labels], train.classes]).toEqual(['set', [3, 2, 2, 1], [0, 2, 1], ['0', '1', '2']])
    const test = await npz(path, 'test')
    expect([test.shape, [...test.labels], test.mean]).toEqual([[1, 2, 2, 1], [2], train.mean])
  })

  it('reads channels wherever they stand, and labels in a column', async () => {
    const last = await npz(
      archive({ images: u8('(2, 5, 6, 3)', ramp(180)), labels: npy(header('|u1', '(2, 1)'), Uint8Array.of(0, 0)) }),
      'train',
      {
        holdout: 0.5,
      },
    )
    expect(last.shape).toEqual([1, 5, 6, 3])
    const first = await npz(archive({ x: u8('(2, 3, 5, 6)', ramp(180)), y: i8(0, 0) }))
    expect(first.shape).toEqual([1, 5, 6, 3])
  })

  it('holds out a part of every class where there are no test arrays', async () => {
    const path = archive({ x: u8('(10, 1, 1)', ramp(10)), y: i8(0, 0, 0, 0, 0, 1, 1, 1, 1, 1) })
    const [train, test] = [await npz(path), await npz(path, 'test')]
    expect([[...train.labels], [...test.labels]]).toEqual([
      [0, 0, 0, 0, 1, 1, 1, 1],
      [0, 1],
    ])
    expect(new Set([...train.images, ...test.images]).size).toBe(10)
  })

  it.each<[string, Readonly<Record<string, Uint8Array>>, RegExp]>([
    ['no known names', { a: u8('(1,)', ramp(1)) }, /expected arrays x_train and y_train.*holds a/],
    ['pickled labels', { x: u8('(1, 2, 2)', ramp(4)), y: npy(header('|O', '(1,)'), ramp(8)) }, /y: holds pickled Python objects/],
    [
      'labels that are fractions',
      { x: u8('(2, 1, 1)', ramp(2)), y: npy(header('<f8', '(2,)'), float64(0, 0.5)) },
      /label 1: .*whole .*0\.5/,
    ],
    ['labels that are no numbers', { x: u8('(1, 1, 1)', ramp(1)), y: npy(header('<f8', '(1,)'), float64(Number.NaN)) }, /label 0: .*NaN/],
    ['labels for a million classes', { x: u8('(1, 1, 1)', ramp(1)), y: i8(1_000_000) }, /at most 100000, but received 1000000/],
    ['float images', { x: npy(header('<f4', '(1, 1, 1)'), ramp(4)), y: i8(0) }, /x: expected unsigned bytes/],
    ['a flat image array', { x: u8('(4,)', ramp(4)), y: i8(0, 0, 0, 0) }, /x: expected \[N, H, W\]/],
    ['too many channels', { x: u8('(1, 5, 5, 5)', ramp(125)), y: i8(0) }, /at most 4 channels/],
    ['fewer labels than images', { x: u8('(2, 1, 1)', ramp(2)), y: i8(0) }, /y: expected 2 labels/],
    ['a negative label', { x: u8('(1, 1, 1)', ramp(1)), y: i8(-1) }, /label 0: .*-1/],
    ['one-hot labels', { x: u8('(1, 1, 1)', ramp(1)), y: u8('(1, 10)', ramp(10)) }, /y: expected 1 labels/],
    ['no image', { x: u8('(0, 1, 1)', ramp(0)), y: i8() }, /at least one image/],
    [
      'a test label beyond the training classes',
      { x_train: u8('(2, 1, 1)', ramp(2)), y_train: i8(0, 1), x_test: u8('(1, 1, 1)', ramp(1)), y_test: i8(5) },
      /labels from 0 to the largest of the training images.*5/,
    ],
  ])('refuses %s', (_, arrays, message) => expectError(() => npz(archive(arrays)), 'invalid_data', message))

  it('refuses pickles and the files of torch.save, and says how to convert them', async () => {
    const message = /holds a Python pickle, which is never read, as it can run code; save its arrays with numpy\.savez/
    await expectError(() => npz(write(freshDir(), 'a.npz', bytes([0x80, 4, 0x7d, 0x2e]))), 'invalid_data', message)
    const saved = zipBytes(['a/data.pkl', bytes([0x80, 2, 0x7d, 0x2e])], ['a/version', bytes([0x33])])
    await expectError(() => npz(write(freshDir(), 'a.pt', saved)), 'invalid_data', message)
  })

  it('refuses what is no archive', async () => {
    await expectError(() => npz(write(freshDir(), 'a.npz', ramp(100))), 'invalid_data', /expected a zip archive/)
    await expectError(() => npz(join(freshDir(), 'absent.npz')), 'not_found', /absent\.npz/)
  })
})

describe('a data set of one’s own', () => {
  const source = (samples: SampleSource['samples'], more = {}): SampleSource => ({
    name: 'mine',
    classes: ['a', 'b'],
    image: [1, 2, 1],
    samples,
    ...more,
  })
  const sample = (label: number, ...pixels: number[]): Sample => ({ label, pixels: Uint8Array.from(pixels) })

  it('is read from an iterator, awaited or not', async () => {
    async function* slow() {
      for (let i = 0; i < 200; i++) yield sample(i % 2, i, 255 - i)
    }
    const set = await createDataset(source(slow()))
    expect([set.shape, set.split, set.flip]).toEqual([[200, 1, 2, 1], 'train', false])
    expect([...set.images.subarray(398)]).toEqual([199, 56])
    expect(set.mean[0]).toBeCloseTo(0.5, 12)
    const again = await createDataset(source([sample(0, 1, 2), sample(1, 3, 4)], { mean: [0], std: [1] }))
    expect([[...again.images], again.mean]).toEqual([[1, 2, 3, 4], [0]])
  })

  it('may reuse its buffer', async () => {
    const pixels = new Uint8Array(2)
    function* reusing() {
      for (let i = 0; i < 3; i++) yield { label: 0, pixels: pixels.fill(i) }
    }
    expect([...(await createDataset(source(reusing(), { mean: [0], std: [1] }))).images]).toEqual([0, 0, 1, 1, 2, 2])
  })

  it.each<[string, SampleSource, string, RegExp]>([
    ['no image', source([]), 'invalid_data', /gave no image/],
    ['no iterator', source(7 as never), 'invalid_data', /an iterable/],
    ['pixels of another size', source([sample(0, 1, 2), sample(0, 1)]), 'invalid_data', /pixels of image 1: .*2 bytes/],
    ['a label beyond the classes', source([sample(2, 1, 2)]), 'invalid_data', /label of image 0: .*\[0, 2\)/],
    ['half a label', source([sample(0.5, 1, 2)]), 'invalid_data', /label of image 0/],
    ['no sample', source([undefined as never]), 'invalid_data', /pixels of image 0/],
    ['a mistyped field', source([sample(0, 1, 2)], { means: [0] }), 'invalid_option', /'means'/],
    ['a wrong image size', source([sample(0, 1, 2)], { image: [2, 1] }), 'invalid_data', /\[H, W, C\]/],
  ])('is refused with %s', (_, given, code, message) => expectError(() => createDataset(given), code, message))
})
