/** @file Data sets without labels: how each reader gives one, that they have none to read, and what is not taken for one. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createDataset, type SampleSource } from '../../../src/data/any-dataset.js'
import { asDataset, type Dataset } from '../../../src/data/dataset.js'
import { imageFolder } from '../../../src/data/image-folder.js'
import { npz } from '../../../src/data/npz-dataset.js'
import { openDataset, openImageStream } from '../../../src/data/open.js'
import { openPacked } from '../../../src/data/packed/open-packed.js'
import { packSplit } from '../../../src/data/packed/pack.js'
import { createSampler } from '../../../src/data/sampler.js'
import { expectError, freshDir, ramp, write } from './fixtures.js'
import { plain, png, tree } from './image-fixtures.js'
import { archive, i8, u8 } from './zip-archive.js'

const fields = {
  ...{ name: 'photos', split: 'train' as const, images: ramp(24), shape: [6, 2, 2, 1] as const },
  ...{ mean: [0.5], std: [0.25], flip: true },
}
const labelled = createDataset({ ...fields, classes: ['a'], labels: new Int32Array(6) })
const refusal = /has no labels, but .* needs them; give labels, or take what needs none/

async function expectUnlabelled(data: Dataset, rows: number): Promise<void> {
  expect([data.classes, data.shape[0]]).toEqual([[], rows])
  await expectError(() => data.labels, 'invalid_data', refusal)
  await expectError(() => data.classIndices(0), 'invalid_data', refusal)
}

describe('a data set of fields', () => {
  it('without classes and labels has none, nor has what is made of it', async () => {
    const photos = createDataset(fields)
    await expectUnlabelled(photos, 6)
    await expectUnlabelled(photos.subset([5, 0]), 2)
    expect([...photos.subset([5, 0]).images]).toEqual([...ramp(24).slice(20), ...ramp(4)])
    expect(asDataset(photos)).toBe(photos)
    const copies = [createDataset(photos), createDataset({ ...photos, flip: false }), createDataset({ ...fields, classes: [], labels: [] })]
    for (const copy of copies) {
      await expectUnlabelled(copy, 6)
      expect(copy.sha256).toBe(photos.sha256)
    }
  })

  it('is another than one of a single class', () => expect(createDataset(fields).sha256).not.toBe(labelled.sha256))

  it.each([
    ['labels without classes', { labels: new Int32Array(6) }, /classes: expected a list of at least one class name/],
    ['labels beside an empty list of classes', { classes: [], labels: [0, 0, 0, 0, 0, 0] }, /classes: .*at least one class name/],
    ['classes without labels', { classes: ['a'] }, /labels: expected an array of type Int32Array/],
  ])('is refused with %s', (_, change, message) => expectError(() => createDataset({ ...fields, ...change }), 'invalid_data', message))

  it('gives no balanced batches', () =>
    expectError(() => createSampler({ dataset: createDataset(fields), perClass: 1, seed: 0, purpose: 1 }), 'invalid_data', refusal))
})

describe('images of an iterator', () => {
  const source = (samples: SampleSource['samples']): SampleSource => ({ name: 'photos', image: [2, 2, 1], samples })

  it('have no labels where the source has no classes', async () => {
    const data = await createDataset(source([{ pixels: ramp(4) }, { pixels: ramp(8).slice(4) }]))
    await expectUnlabelled(data, 2)
    expect([...data.images]).toEqual([...ramp(8)])
  })

  it('may not have labels then', () =>
    expectError(() => createDataset(source([{ pixels: ramp(4), label: 0 }])), 'invalid_data', /label of image 0: expected none/))
})

describe('npz', () => {
  const images = (rows: number) => u8(`(${rows}, 2, 2)`, ramp(rows * 4))

  it.each(['x_train', 'train_images', 'images', 'x'])("reads '%s' alone, all of it for training", async (name) => {
    const path = archive({ [name]: images(5) })
    await expectUnlabelled(await npz(path), 5)
    await expectError(() => npz(path, 'test'), 'not_found', /set: has no labels and no test images.*holdout/)
  })

  it('reads test images, or holds a part out that is asked for', async () => {
    await expectUnlabelled(await npz(archive({ train_images: images(5), test_images: images(2) }), 'test'), 2)
    const path = archive({ x: images(10) })
    const [train, test] = [await openDataset(`npz:${path},holdout=0.3`), await openDataset(`npz:${path},holdout=0.3`, 'test')]
    await expectUnlabelled(train, 7)
    await expectUnlabelled(test, 3)
    expect([...train.images, ...test.images].sort((a, b) => a - b)).toEqual([...ramp(40)].sort((a, b) => a - b))
  })

  it('takes no array of another name for labels, and leaves it out on request', async () => {
    const path = archive({ x_train: images(3), targets: i8(0, 1, 2) })
    const message = /expected labels 'y_train' beside 'x_train' but it holds x_train, targets; rename.*labels=none/
    await expectError(() => npz(path), 'invalid_data', message)
    await expectUnlabelled(await openDataset(`npz:${path},labels=none`), 3)
    await expectUnlabelled(await npz(archive({ x: images(3), y: i8(0, 1) }), 'train', { labels: 'none' }), 3)
    await expectError(() => npz(path, 'train', { labels: 'fine' as 'none' }), 'invalid_option', /labels/)
  })

  it('refuses labels of the test images alone', () =>
    expectError(() => npz(archive({ x_train: images(3), x_test: images(1), y_test: i8(0) })), 'invalid_data', /'y_train'/))
})

describe('a folder', () => {
  const image = (i: number) => png(plain([i * 10, i, 0], 4))
  const flat = async (prefix: string, count: number) =>
    Object.fromEntries(await Promise.all(Array.from({ length: count }, async (_, i) => [`${prefix}${i}.png`, await image(i)] as const)))

  it('of images alone has no labels, with or without folders for the splits', async () => {
    const data = await imageFolder(tree(await flat('', 3)))
    await expectUnlabelled(data, 3)
    expect(Array.from({ length: 3 }, (_, i) => data.images[i * 48])).toEqual([0, 10, 20])
    const split = tree({ ...(await flat('train/', 3)), ...(await flat('val/x/', 2)) })
    const train = await imageFolder(split)
    await expectUnlabelled(train, 3)
    expect([train.sha256, train.filesSha256]).toEqual([data.sha256, data.filesSha256])
    await expectUnlabelled(await imageFolder(split, 'test'), 2)
  })

  it('of folders is read without labels on request', async () => {
    const dir = tree({ ...(await flat('2023/', 2)), ...(await flat('2024/may/', 2)) })
    expect((await imageFolder(dir)).classes).toEqual(['2023', '2024'])
    await expectUnlabelled(await openDataset(`folder:${dir},labels=none`), 4)
    await expectUnlabelled(await openDataset(`folder:${dir},labels=none,holdout=0.25`, 'test'), 1)
    await expectError(() => openDataset(`folder:${dir},labels=none`, 'test'), 'not_found', /holdout/)
    await expectError(() => imageFolder(dir, 'train', { labels: 'none', classes: ['2023'] }), 'invalid_option', /classes/)
    await expectError(() => openDataset(`folder:${dir},labels=fine`), 'invalid_option', /labels/)
    await expectError(() => openImageStream(`folder:${dir},labels=none`), 'invalid_data', refusal)
  })

  it('of images and folders is refused', async () => {
    const dir = tree({ ...(await flat('', 1)), ...(await flat('a/', 1)) })
    await expectError(() => imageFolder(dir), 'invalid_data', /'0\.png' stands beside the folder 'a'; .*labels=none/)
    await expectUnlabelled(await imageFolder(dir, 'train', { labels: 'none' }), 2)
    expect((await imageFolder(dir, 'train', { classes: ['a'] })).classes).toEqual(['a'])
  })

  it('leaves unreadable files out on request, and is refused without any other', async () => {
    const dir = tree({ ...(await flat('', 2)), '0a.png': 'text' })
    const data = await imageFolder(dir, 'train', { onUnreadable: 'skip' })
    await expectUnlabelled(data, 2)
    expect(data.unreadable).toMatchObject([{ row: 1, path: join(dir, '0a.png') }])
    const broken = tree({ 'a.png': 'text' })
    await expectError(() => imageFolder(broken, 'train', { onUnreadable: 'skip' }), 'invalid_data', /not one of 1 could be decoded/)
    await expectError(() => imageFolder(freshDir()), 'invalid_data', /or images without labels, but it holds nothing/)
    await expectError(() => imageFolder(freshDir(), 'train', { labels: 'none' }), 'invalid_data', /no JPEG, PNG or WebP file/)
    const empty = freshDir()
    mkdirSync(join(empty, 'train'))
    write(join(empty, 'train'), 'a.bmp', 'text')
    await expectError(() => imageFolder(empty, 'train', { labels: 'none' }), 'invalid_data', /a\.bmp: expected JPEG, PNG or WebP/)
  })

  it('is packed as it is, and streamed', async () => {
    const data = `folder:${tree({ ...(await flat('', 3)), 'broken.png': 'text' })},on-unreadable=skip`
    const out = freshDir()
    const record = await packSplit(data, 'train', out)
    expect([record.classes, record.labels]).toEqual([[], []])
    const original = await openDataset(data)
    for (const packed of [await openPacked(out), await openPacked(out, 'train', { resident: false })]) {
      await expectUnlabelled(packed, 3)
      expect([packed.sha256, packed.filesSha256]).toEqual([original.sha256, original.filesSha256])
    }
    const streamed = await openDataset(`packed:${out},resident=no,normalize=none,flip=no`)
    await expectUnlabelled(streamed, 3)
    expect(streamed.pixels?.bytes).toBe(3 * 48)
    expect(await packSplit(data, 'train', out)).toEqual(record)
  })
})

it('is packed from memory', async () => {
  const path = archive({ x: u8('(5, 2, 2)', ramp(20)) })
  const out = freshDir()
  await packSplit(`npz:${path}`, 'train', out)
  expect((await openPacked(out)).sha256).toBe((await npz(path)).sha256)
  await expectError(() => packSplit(`npz:${path}`, 'test', out), 'not_found', /holdout/)
})
