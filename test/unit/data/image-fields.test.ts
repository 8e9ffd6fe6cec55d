/** @file Fields of data sets in memory: everything that is not what it must be is refused by name, and what passed is the data set's own. */
import { describe, expect, it } from 'vitest'
import { asDataset, createDataset, type DatasetInput } from '../../../src/data/dataset.js'
import { expectError } from './fixtures.js'

const fields = (): DatasetInput => ({
  name: 'tiny',
  split: 'train',
  classes: ['a', 'b'],
  images: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  shape: [2, 2, 2, 1],
  labels: Int32Array.of(1, 0),
  mean: [0.5],
  std: [0.25],
  flip: true,
})
const shared = <T extends Uint8Array | Int32Array>(array: T): T => {
  const copy = new (array.constructor as new (buffer: SharedArrayBuffer) => T)(new SharedArrayBuffer(array.byteLength))
  copy.set(array)
  return copy
}
const detached = <T extends Uint8Array | Int32Array>(array: T): T => {
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] })
  return array
}
const expectContent = (dataset: ReturnType<typeof createDataset>) => {
  expect([...dataset.images]).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  expect([...dataset.labels]).toEqual([1, 0])
  expect([...dataset.classIndices(0)]).toEqual([1])
  expect([...dataset.subset([1]).images]).toEqual([5, 6, 7, 8])
  expect(dataset.sha256).toBe(createDataset(fields()).sha256)
}

const proxied = new Proxy(new Uint8Array(8), {})

describe('createDataset refuses', () => {
  it.each<[string, unknown, RegExp]>([
    ['nothing', undefined, /data set: expected an object with its fields but received undefined; give what createDataset/],
    ['null', null, /but received null/],
    ['a list', [], /but received \[\]/],
    ['a promise', Promise.resolve(), /but received Promise; await it first/],
    ['no fields', {}, /name: expected a text but received undefined/],
  ])('%s', (_, given, text) => expectError(() => createDataset(given as DatasetInput), 'invalid_data', text))

  it.each<[string, object, RegExp]>([
    ['a name that is no text', { name: 3 }, /name: expected a text but received 3/],
    ['an empty name', { name: '' }, /name: expected a text but received ''/],
    ['another split', { split: 'val' }, /split: expected 'train' or 'test' but received 'val'/],
    ['no shape', { shape: undefined }, /shape: expected four whole numbers .* but received undefined/],
    ['a shape as text', { shape: '2221' }, /shape: .* but received '2221'/],
    ['a shape as a typed array', { shape: Int32Array.of(2, 2, 2, 1) }, /shape: .* but received Int32Array\(4\)/],
    ['a shape of holes', { shape: new Array(4) }, /shape: .* but received \[undefined, undefined, undefined, undefined\]/],
    ['a plain list of pixels', { images: [1, 2, 3, 4, 5, 6, 7, 8] }, /images: expected an array of type Uint8Array but received \[1, 2,/],
    ['pixels of another type', { images: new Float32Array(8) }, /images: .* but received Float32Array\(8\)/],
    ['clamped pixels', { images: new Uint8ClampedArray(8) }, /images: .* but received Uint8ClampedArray\(8\)/],
    ['no pixels', { images: undefined }, /images: .* but received undefined/],
    ['pixels behind a proxy', { images: proxied }, /images: expected an array of type Uint8Array/],
    ['too many pixels', { images: new Uint8Array(9) }, /images: expected 8 bytes for \[2, 2, 2, 1\] but received 9/],
    ['pixels of a huge shape', { shape: [2 ** 30, 2 ** 30, 1, 1] }, /images: expected \d+ bytes .* but received 8/],
    ['labels of another type', { labels: new Uint8Array(2) }, /labels: expected an array of type Int32Array but received Uint8Array\(2\)/],
    ['labels that are fractions', { labels: [0, 0.5] }, /label of image 1: expected a class in \[0, 2\) but received 0.5/],
    ['labels that are text', { labels: ['0', '1'] }, /label of image 0: .* but received '0'/],
    ['labels of holes', { labels: new Array(2) }, /label of image 0: .* but received undefined/],
    ['a list with too few labels', { labels: [0] }, /labels: expected 2 labels but received 1/],
    ['a label beyond the classes', { labels: [0, 2] }, /label of image 1: expected a class in \[0, 2\) but received 2/],
    ['a mean that is no list', { mean: 0.5 }, /mean: expected 1 finite numbers in a list, .* but received 0.5/],
    ['a mean as a typed array', { mean: Float32Array.of(0.5) }, /mean: .* but received Float32Array\(1\)/],
    ['a mean of text', { mean: ['0.5'] }, /mean: .* but received \['0.5'\]/],
    ['an infinite mean', { mean: [Number.POSITIVE_INFINITY] }, /mean: .* but received \[Infinity\]/],
    ['a mean of two channels', { mean: [0.5, 0.5] }, /mean: .* each of 1 channels but received \[0.5, 0.5\]/],
    ['no mean', { mean: undefined }, /mean: .* but received undefined/],
    ['a std of zero', { std: [0] }, /std: expected 1 positive numbers in a list, .* but received \[0\]/],
    ['a std of NaN', { std: [Number.NaN] }, /std: .* but received \[NaN\]/],
    ['a negative std', { std: [-1] }, /std: .* but received \[-1\]/],
    ['classes as one text', { classes: 'ab' }, /classes: expected a list of at least one class name but received 'ab'/],
    ['no classes', { classes: [] }, /classes: expected a list of at least one class name but received \[\]/],
    ['a class without a name', { classes: ['a', ''] }, /name of class 1: expected a text but received ''/],
    ['numbers for names', { classes: [0, 1] }, /name of class 0: expected a text but received 0/],
    ['two classes of one name', { classes: ['a', 'a'] }, /name of class 1: expected one that no class before it has but received 'a'/],
    ['no flip', { flip: undefined }, /flip: expected true or false but received undefined/],
    ['flip as text', { flip: 'yes' }, /flip: expected true or false but received 'yes'/],
  ])('%s', (_, change, text) => expectError(() => createDataset({ ...fields(), ...change } as DatasetInput), 'invalid_data', text))

  it('a field it does not know, and names those it knows', () =>
    expectError(
      () => createDataset({ ...fields(), Flip: false } as DatasetInput),
      'invalid_option',
      /data set 'tiny': expected names among name, split, .*flip.* but received 'Flip'; did you mean 'flip'\?/,
    ))

  it.each<[string, () => object]>([
    ['pixels', () => ({ images: detached(Uint8Array.from(fields().images)) })],
    ['labels', () => ({ labels: detached(Int32Array.of(1, 0)) })],
  ])('%s whose buffer was transferred away', (_, change) =>
    expectError(() => createDataset({ ...fields(), ...change() } as DatasetInput), 'detached', /transferred away/),
  )
})

describe('a data set', () => {
  it('takes labels as a plain list, and another data set with changes', () => {
    expectContent(createDataset({ ...fields(), labels: [1, 0] }))
    const changed = createDataset({ ...createDataset(fields()), name: 'other', flip: false })
    expectContent(changed)
    expect([changed.name, changed.flip]).toEqual(['other', false])
  })

  it('keeps its content when the caller transfers, overwrites or changes what it gave', () => {
    const given = { ...fields(), classes: ['a', 'b'], mean: [0.5], std: [0.25], labels: Int32Array.of(1, 0) }
    const [kept, other] = [createDataset(given), createDataset({ ...given, images: Uint8Array.from(given.images) })]
    detached(given.images)
    detached(given.labels)
    given.classes[0] = 'b'
    given.mean[0] = Number.NaN
    given.std[0] = 0
    for (const dataset of [kept, other]) {
      expectContent(dataset)
      expect([dataset.classes, dataset.mean, dataset.std]).toEqual([['a', 'b'], [0.5], [0.25]])
    }
  })

  it('takes arrays over shared memory, over a resizable buffer, and buffers of Node', () => {
    const { images, labels } = fields()
    const Resizable = ArrayBuffer as unknown as new (bytes: number, options: { maxByteLength: number }) => ArrayBuffer
    const resizable = new Uint8Array(new Resizable(8, { maxByteLength: 16 }))
    resizable.set(images)
    const node = Buffer.from(images)
    const sharedImages = shared(images)
    const sets = [
      createDataset({ ...fields(), images: sharedImages, labels: shared(labels as Int32Array) }),
      createDataset({ ...fields(), images: resizable }),
      createDataset({ ...fields(), images: node as unknown as Uint8Array }),
    ]
    sharedImages.fill(0)
    node.fill(0)
    ;(resizable.buffer as unknown as { resize(bytes: number): void }).resize(0)
    for (const dataset of sets) {
      expectContent(dataset)
      expect(dataset.images.buffer).toBeInstanceOf(ArrayBuffer)
    }
  })

  it('says so when its own arrays were transferred away', async () => {
    for (const take of ['images', 'labels'] as const) {
      const dataset = createDataset(fields())
      detached(dataset[take])
      const uses = [() => dataset.sha256, () => dataset.subset([0]), () => dataset.classIndices(0), () => asDataset(dataset)]
      for (const use of uses) await expectError(use, 'detached', /data set 'tiny': .* transferred away; transfer a copy/)
    }
  })

  it('is made of fields where none was made yet', () => {
    const dataset = createDataset(fields())
    expect(asDataset(dataset)).toBe(dataset)
    expectContent(asDataset(fields()))
  })

  it.each<[unknown]>([[undefined], [3], ['01'], [{ length: 1, 0: 0 }]])('refuses %s as rows of a subset', (rows) =>
    expectError(() => createDataset(fields()).subset(rows as number[]), 'invalid_option', /subset: expected a list of rows/),
  )
})
