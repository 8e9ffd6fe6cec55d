/** @file Folders of images: classes and their order, splits, the cache, Tiny ImageNet's annotations, and what is refused. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { imageFolder } from '../../../src/data/image-folder.js'
import { imagenetSubset } from '../../../src/data/imagenet-subsets.js'
import { openDataset } from '../../../src/data/open.js'
import { tinyImagenet } from '../../../src/data/tiny-imagenet.js'
import { expectError, freshDir, write } from './fixtures.js'
import { type Colour, jpeg, plain, png, tree } from './image-fixtures.js'

const woof = imagenetSubset('imagewoof').classes.map(({ synset }) => synset)

/** A plain array: Node's own type of bytes is another to the compiler. */
const fileBytes = (path: string): Uint8Array => Uint8Array.from(readFileSync(path))

const image = (colour: Colour, side = 4) => png(plain(colour, side))

/** `counts` images of each class, the red channel telling the class, the green one the image. */
async function files(prefix: string, counts: Readonly<Record<string, number>>): Promise<Record<string, Uint8Array>> {
  const made: Record<string, Uint8Array> = {}
  for (const [c, [name, count]] of Object.entries(counts).entries()) {
    for (let i = 0; i < count; i++) made[`${prefix}${name}/${i}.png`] = await image([c * 10, i, 0])
  }
  return made
}

describe('imageFolder', () => {
  it('reads train and val, classes in byte order of their names', async () => {
    const dir = tree({ ...(await files('train/', { b: 2, a: 1, Z: 1, ä: 1 })), ...(await files('val/', { ä: 1, b: 1 })) })
    const train = await imageFolder(dir, 'train')
    expect(train.classes).toEqual(['Z', 'a', 'b', 'ä'])
    expect(train.shape).toEqual([5, 4, 4, 3])
    expect([...train.labels]).toEqual([0, 1, 2, 2, 3])
    expect(Array.from({ length: 5 }, (_, i) => train.images[i * 48])).toEqual([20, 10, 0, 0, 30])
    const test = await imageFolder(dir, 'test')
    expect(test.classes).toEqual(train.classes)
    expect([...test.labels]).toEqual([2, 3])
    expect(test.classIndices(0)).toHaveLength(0)
  })

  it('takes the classes that are asked for, in that order, and looks at no other', async () => {
    const made = { ...(await files('train/', { a: 1, b: 2, c: 1 })), ...(await files('val/', { c: 1, a: 1, z: 1 })), 'train/b/x.bmp': 'no' }
    const dir = tree(made)
    const train = await openDataset(`folder:${dir},classes=c:a`)
    expect(train.classes).toEqual(['c', 'a'])
    expect([...train.labels]).toEqual([0, 1])
    expect(Array.from({ length: 2 }, (_, i) => train.images[i * 48])).toEqual([20, 0])
    expect([...(await openDataset(`folder:${dir},classes=c:a`, 'test')).labels]).toEqual([0, 1])
    await expectError(() => imageFolder(dir, 'train', { classes: ['a', 'q'] }), 'not_found', /'q'/)
    await expectError(() => imageFolder(dir, 'train', { classes: ['a', 'a'] }), 'invalid_option', /twice/)
    await expectError(() => imageFolder(dir, 'train', { classes: 'imagenet-q' }), 'not_found', /imagenette/)
    await expectError(() => openDataset(`folder:${dir},classes=a::c`), 'invalid_option', /classes/)
  })

  it("reads a subset of ImageNet by its name, labels in the table's order", async () => {
    const dir = tree(await files('train/', { n01440764: 1, ...Object.fromEntries(woof.map((synset) => [synset, 1])) }))
    const { classes } = await openDataset(`folder:${dir},classes=imagewoof`)
    expect(classes).toEqual(woof)
  })

  it('looks into folders within a class, and leaves out hidden files and text', async () => {
    const dir = tree({
      'train/a/images/1.png': await image([1, 0, 0]),
      'train/a/2.JPG': await jpeg(plain([2, 0, 0], 4)),
      'train/a/.hidden.png': 'broken',
      'train/a/notes.txt': 'text',
      'train/classes.tsv': 'text',
      'val/a/1.png': await image([1, 0, 0]),
    })
    expect((await imageFolder(dir)).shape[0]).toBe(2)
  })

  it('holds out a part of every class where the layout has no split, the same every time', async () => {
    const dir = tree(await files('', { a: 10, b: 5, c: 1 }))
    const [train, test] = [await imageFolder(dir, 'train'), await imageFolder(dir, 'test')]
    expect([0, 1, 2].map((c) => train.classIndices(c).length)).toEqual([8, 4, 1])
    expect([0, 1, 2].map((c) => test.classIndices(c).length)).toEqual([2, 1, 0])
    const all = [train, test].flatMap((set) => Array.from(set.labels, (label, i) => `${label} ${set.images[i * 48 + 1]}`))
    expect(new Set(all).size).toBe(16)
    expect((await imageFolder(dir, 'test')).sha256).toBe(test.sha256)
    expect((await imageFolder(dir, 'test', { splitSeed: 1 })).sha256).not.toBe(test.sha256)
    expect((await imageFolder(dir, 'test', { holdout: 0.5 })).classIndices(0)).toHaveLength(5)
  })

  it.skipIf(process.platform !== 'linux')('tells names apart that differ by case alone', async () => {
    const set = await imageFolder(tree({ ...(await files('train/', { a: 1, A: 2 })), ...(await files('val/', { a: 1 })) }))
    expect([set.classes, [...set.labels]]).toEqual([
      ['A', 'a'],
      [0, 0, 1],
    ])
  })

  it('follows links to folders and files', async () => {
    const one = await image([1, 0, 0])
    const dir = tree({ 'store/x.png': await image([7, 0, 0]), 'train/a/1.png': one, 'val/a/1.png': one })
    symlinkSync('../store', join(dir, 'train', 'linked'))
    symlinkSync('../../store/x.png', join(dir, 'train', 'a', '2.png'))
    const set = await imageFolder(dir)
    expect(set.classes).toEqual(['a', 'linked'])
    expect(Array.from({ length: 3 }, (_, i) => set.images[i * 48])).toEqual([1, 7, 7])
  })

  it.each<[string, Record<string, string>, string, RegExp]>([
    ['an empty class', { 'train/a/1.png': '', 'train/b/readme.txt': '' }, 'invalid_data', /train: class 'b' has no JPEG, PNG or WebP/],
    [
      'a folder without images',
      { 'one.txt': '' },
      'invalid_data',
      /a folder of images for each class, or images .*, but it holds one\.txt/,
    ],
    ['an image format that is not read', { 'train/a/1.bmp': '' }, 'invalid_data', /1\.bmp: expected JPEG, PNG or WebP; convert/],
    ['a file that is no image', { 'train/a/1.png': 'text' }, 'invalid_data', /1\.png: expected JPEG/],
  ])('refuses %s', (_, content, code, message) => expectError(() => imageFolder(tree(content)), code, message))

  it('refuses a test class that is not in training, a circle of links and a directory that is not there', async () => {
    const dir = tree({ 'train/a/1.png': await image([1, 0, 0]), 'val/b/1.png': await image([1, 0, 0]) })
    await expectError(() => imageFolder(dir, 'test'), 'invalid_data', /val\/b: the training images have no class of this name/)
    symlinkSync('.', join(dir, 'train', 'a', 'again'))
    await expectError(() => imageFolder(dir), 'invalid_data', /part of a circle/)
    await expectError(() => imageFolder(join(dir, 'absent')), 'not_found', /absent: no such directory/)
    await expectError(() => imageFolder(''), 'invalid_option', /a path/)
  })

  it('refuses a name that is no UTF-8', async () => {
    const dir = freshDir()
    // Node takes names as text; the shell's printf gives any byte
    execFileSync('sh', ['-c', 'mkdir "$1/$(printf "a\\377")"', 'sh', dir])
    await expectError(() => imageFolder(dir), 'invalid_data', /expected a name in UTF-8/)
  })
})

describe('the cache', () => {
  const entries = (dir: string) => readdirSync(dir)

  it('is read instead of decoding, and is another entry for other contents or another rule', async () => {
    const [dir, cache] = [
      tree({ ...(await files('train/', { a: 2, b: 2 })), ...(await files('val/', { a: 1 })) }),
      join(freshDir(), 'made', 'when', 'needed'),
    ]
    const plainly = await imageFolder(dir)
    expect((await imageFolder(dir, 'train', { cache })).sha256).toBe(plainly.sha256)
    expect(entries(cache)).toHaveLength(1)
    // the entry itself is read: under the name of this one, the pixels of another come out
    const path = join(cache, entries(cache)[0])
    const whole = fileBytes(path)
    const other = join(freshDir(), 'other')
    await imageFolder(
      tree({ ...(await files('train/', { a: 2, b: 2 })), 'train/a/0.png': await image([5, 5, 5]), 'val/a/0.png': await image([0, 0, 0]) }),
      'train',
      { cache: other },
    )
    writeFileSync(path, fileBytes(join(other, entries(other)[0])))
    expect((await imageFolder(dir, 'train', { cache })).images[0]).toBe(5)
    writeFileSync(path, whole)
    await imageFolder(dir, 'train', { cache, size: 2 })
    await imageFolder(dir, 'train', { cache, size: 2, fit: 'crop' })
    expect(entries(cache)).toHaveLength(3)
    writeFileSync(join(dir, 'train', 'a', '0.png'), await image([99, 0, 0]))
    expect((await imageFolder(dir, 'train', { cache })).images[0]).toBe(99)
    expect(entries(cache)).toHaveLength(4)
    expect(fileBytes(path)).toEqual(whole)
  })

  it('is made again when it is damaged, wherever the damage is', async () => {
    const [dir, cache] = [tree(await files('train/', { a: 2 })), freshDir()]
    const { sha256 } = await imageFolder(dir, 'train', { cache })
    const path = join(cache, entries(cache)[0])
    const whole = fileBytes(path)
    for (const damaged of [whole.subarray(0, 20), whole.subarray(0, -1), whole.slice().fill(0x7f, whole.length - 3), new Uint8Array(0)]) {
      writeFileSync(path, damaged)
      expect((await imageFolder(dir, 'train', { cache })).sha256).toBe(sha256)
      expect(fileBytes(path)).toEqual(whole)
    }
    expect(entries(cache)).toHaveLength(1)
  })

  it('may be filled by several at once, and is cleared of what a crash left long ago', async () => {
    const [dir, cache] = [tree(await files('train/', { a: 3 })), freshDir()]
    const [old, fresh] = ['.images-old.partial', '.images-fresh.partial'].map((name) => write(cache, name, 'half'))
    const yesterday = new Date(Date.now() - 25 * 3600 * 1000)
    utimesSync(old, yesterday, yesterday)
    const sets = await Promise.all(Array.from({ length: 6 }, () => imageFolder(dir, 'train', { cache })))
    expect(new Set(sets.map(({ sha256 }) => sha256)).size).toBe(1)
    // another process may be writing the fresh one
    expect(entries(cache).filter((name) => name.startsWith('.'))).toEqual([basename(fresh)])
    const [entry] = entries(cache).filter((name) => !name.startsWith('.'))
    const whole = fileBytes(join(cache, entry))
    await imageFolder(dir, 'train', { cache: fresh.replace(/[^/]+$/, 'other') })
    expect(whole).toEqual(fileBytes(join(cache, 'other', entry)))
  })

  it('that cannot be written is an error naming it', async () => {
    const dir = tree({ ...(await files('train/', { a: 1 })), occupied: 'a file' })
    await expectError(() => imageFolder(dir, 'train', { cache: join(dir, 'occupied') }), 'io', /occupied/)
  })
})

describe('tinyImagenet', () => {
  const official = async () => ({
    'wnids.txt': 'n02\nn01\n',
    'train/n01/images/n01_0.JPEG': await image([1, 0, 0]),
    'train/n02/images/n02_0.JPEG': await image([2, 0, 0]),
    'val/images/val_0.JPEG': await image([20, 0, 0]),
    'val/images/val_1.JPEG': await image([10, 0, 0]),
    'val/val_annotations.txt': 'val_0.JPEG\tn02\t0\t0\t9\t9\nval_1.JPEG\tn01\t0\t0\t9\t9\n',
  })

  it('reads the official layout by its annotations, from the directory or its parent', async () => {
    const dir = tree(await official())
    expect((await tinyImagenet(dir)).classes).toEqual(['n01', 'n02'])
    const test = await tinyImagenet(dir, 'test')
    expect([...test.labels]).toEqual([0, 1])
    expect([test.images[0], test.images[48]]).toEqual([10, 20])
    const parent = freshDir()
    symlinkSync(dir, join(parent, 'tiny-imagenet-200'))
    expect((await tinyImagenet(parent, 'test')).sha256).toBe(test.sha256)
  })

  it('reads a val folder sorted into classes', async () => {
    const dir = tree({ ...(await files('train/', { n01: 1, n02: 1 })), ...(await files('val/', { n02: 2 })) })
    expect([...(await tinyImagenet(dir, 'test')).labels]).toEqual([1, 1])
  })

  it.each<[string, Record<string, string>, string, RegExp]>([
    ['an id without images', { 'wnids.txt': 'n01\nn02\nn03\n' }, 'invalid_data', /wnids\.txt: .*none for 'n03'/],
    ['a folder that is not listed', { 'wnids.txt': 'n01\n' }, 'invalid_data', /a folder 'n02' besides/],
    ['an unknown id', { 'val/val_annotations.txt': 'val_0.JPEG\tn09\n' }, 'invalid_data', /line 1: .*'n09'/],
    ['a line without an id', { 'val/val_annotations.txt': 'val_0.JPEG n01\n' }, 'invalid_data', /line 1: .*tab/],
    ['a name with a NUL', { 'val/val_annotations.txt': 'val\0.JPEG\tn01\n' }, 'invalid_data', /line 1: expected a file name/],
    ['a name that is the folder', { 'val/val_annotations.txt': '..\tn01\n' }, 'invalid_data', /regular file but it is a directory/],
    ['a path outside', { 'val/val_annotations.txt': '../../x.JPEG\tn01\n' }, 'invalid_data', /line 1/],
    [
      'a file listed twice',
      { 'val/val_annotations.txt': 'val_0.JPEG\tn01\nval_0.JPEG\tn02\n' },
      'invalid_data',
      /line 2: 'val_0\.JPEG' is there twice/,
    ],
    ['a file that is not there', { 'val/val_annotations.txt': 'val_7.JPEG\tn01\n' }, 'not_found', /val_7\.JPEG/],
  ])('refuses %s', async (_, changed, code, message) => {
    const dir = tree({ ...(await official()), ...changed })
    await expectError(() => tinyImagenet(dir, 'test'), code, message)
  })
})

const data = process.env.ALUDEL_DATA
describe.skipIf(!data)('real images (ALUDEL_DATA)', () => {
  it('Imagenette at 32 pixels: 200 and 100 of each class', async () => {
    const source = `folder:${data}/imagenette2-224sq-subset,size=32`
    const [train, test] = [await openDataset(source, 'train'), await openDataset(source, 'test')]
    expect([train.shape, test.shape]).toEqual([
      [2000, 32, 32, 3],
      [1000, 32, 32, 3],
    ])
    expect(train.classes[0]).toBe('n01440764')
    for (const c of train.classes.keys()) expect([train.classIndices(c).length, test.classIndices(c).length]).toEqual([200, 100])
  })

  it('ten classes of Tiny ImageNet, by both readers', async () => {
    const dir = `${data}/tiny-imagenet-200/subset10`
    const [tiny, folder] = [await openDataset(`tiny-imagenet:${dir}`, 'test'), await openDataset(`folder:${dir}`, 'test')]
    expect(tiny.shape).toEqual([500, 64, 64, 3])
    expect(folder.sha256).toBe(tiny.sha256)
  })
})
