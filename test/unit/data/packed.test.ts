/** @file Packs: the same data set as without one, going on after an end at any moment, and what is refused. */
import { appendFileSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openDataset } from '../../../src/data/open.js'
import { openPacked } from '../../../src/data/packed/open-packed.js'
import { packSplit, verifyPack } from '../../../src/data/packed/pack.js'
import { encodeSealed, parseRecord } from '../../../src/experiment/sealed-json.js'
import { expectError, freshDir, mnistDir } from './fixtures.js'
import { jpeg, plain, tree } from './image-fixtures.js'

/** Two classes, `count` images each, of which no two are alike. */
async function folder(count = 20, broken: readonly string[] = []): Promise<string> {
  const files: Record<string, Uint8Array | string> = {}
  for (const part of ['train', 'val'])
    for (const [c, name] of ['cat', 'dog'].entries())
      for (let i = 0; i < count; i++) {
        const path = `${part}/${name}/${i}.jpeg`
        files[path] = broken.includes(path) ? 'no image' : await jpeg(plain([c * 100, i * 10, part.length * 9], 12, 10))
      }
  return tree(files)
}

const both = async (dir: string, out: string) => {
  await packSplit(dir, 'train', out)
  await packSplit(dir, 'test', out)
}

describe('a pack of image files', () => {
  it('is the data set that it was made from', async () => {
    const data = `folder:${await folder()},size=8,fit=crop`
    const out = freshDir()
    await both(data, out)
    for (const split of ['train', 'test'] as const) {
      const original = await openDataset(data, split)
      const packed = await openDataset(`packed:${out}`, split)
      const streamed = await openPacked(out, split, { resident: false })
      expect((await openDataset(`packed:${out},resident=no`, split)).pixels === undefined).toBe(split === 'test')
      expect(packed.images).toEqual(original.images)
      for (const same of [packed, streamed]) {
        expect(same.sha256).toBe(original.sha256)
        expect(same.filesSha256).toBe(original.filesSha256)
        const about = ({ name, split: part, classes, shape, labels, mean, std, flip }: typeof original) => ({
          ...{ name, part, classes, shape, labels, mean, std, flip },
        })
        expect(about(same)).toEqual(about(original))
        expect(same.classIndices(1)).toEqual(original.classIndices(1))
      }
      await expectError(async () => streamed.images, 'invalid_option', /7680 bytes.*resident=yes/)
      await expectError(async () => streamed.subset([0]), 'invalid_option', /resident=yes/)
      await verifyPack(out, split)
    }
    expect(existsSync(join(out, 'train.journal'))).toBe(false)
  })

  it('keeps the statistics that were asked for, and takes others when it is opened', async () => {
    const dir = await folder(2)
    const out = freshDir()
    await packSplit(`folder:${dir},normalize=.5/.25,flip=no`, 'train', out)
    expect(await openDataset(`packed:${out}`)).toMatchObject({ mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25], flip: false })
    const other = await openDataset(`packed:${out},normalize=none,flip=yes,resident=no`)
    expect(other).toMatchObject({ mean: [0, 0, 0], std: [1, 1, 1], flip: true })
    expect(other.sha256).toBe((await openDataset(`folder:${dir}`)).sha256)
    await expectError(() => packSplit(`folder:${dir},normalize=measured`, 'test', out), 'invalid_option', /in memory/)
  })

  it('leaves unreadable files out on request, as the folder does', async () => {
    const data = `folder:${await folder(5, ['train/cat/0.jpeg', 'train/dog/3.jpeg'])},size=8`
    const out = freshDir()
    await expectError(() => packSplit(data, 'train', out), 'invalid_data', /cat.0\.jpeg/)
    const other = freshDir()
    const { shape, unreadable } = await packSplit(`${data},on-unreadable=skip`, 'train', other)
    expect(shape[0]).toBe(8)
    expect(unreadable.map(({ row }) => row)).toEqual([0, 8])
    const original = await openDataset(`${data},on-unreadable=skip`)
    const packed = await openDataset(`packed:${other}`)
    expect([packed.sha256, packed.filesSha256]).toEqual([original.sha256, original.filesSha256])
    expect(packed.unreadable).toEqual(original.unreadable)
  })

  it('goes on after an end at any moment to the same bytes', async () => {
    const data = `folder:${await folder(30)},size=8`
    const whole = freshDir()
    await packSplit(data, 'train', whole)
    const bytes = (dir: string) => ['train.u8', 'train.json'].map((name) => readFileSync(join(dir, name), 'latin1'))
    const out = freshDir()
    const abort = new AbortController()
    await expect(packSplit(data, 'train', out, { signal: abort.signal, onProgress: () => abort.abort() })).rejects.toMatchObject({
      code: 'aborted',
    })
    expect(existsSync(join(out, 'train.json'))).toBe(false)
    await expectError(() => openPacked(out), 'not_found', /goes on/)
    // a batch whose pixels were written and whose line was cut short
    appendFileSync(join(out, 'train.u8'), new Uint8Array(100))
    appendFileSync(join(out, 'train.journal'), '{"files":32,"hash')
    const seen: number[] = []
    await packSplit(data, 'train', out, { onProgress: ({ what, from }) => what === 'decode' && seen.push(from) })
    expect(seen.length).toBeGreaterThan(0)
    expect(seen.every((from) => from === 16)).toBe(true)
    expect(bytes(out)).toEqual(bytes(whole))
    // once more: nothing to do
    await packSplit(data, 'train', out, { onProgress: () => expect.unreachable() })
  })

  it('refuses to mix what was begun with something else', async () => {
    const data = `folder:${await folder(20)},size=8`
    const out = freshDir()
    const abort = new AbortController()
    await packSplit(data, 'train', out, { signal: abort.signal, onProgress: () => abort.abort() }).catch(() => undefined)
    await expectError(() => packSplit(data.replace('size=8', 'size=6'), 'train', out), 'incompatible', /another --out/)
    truncateSync(join(out, 'train.u8'), 5)
    await expectError(() => packSplit(data, 'train', out), 'invalid_data', /pack again/)
    const done = freshDir()
    await packSplit(data, 'train', done)
    await expectError(() => packSplit(data.replace('size=8', 'size=6'), 'train', done), 'incompatible', /another --out/)
    await expectError(() => packSplit(`packed:${done}`, 'train', freshDir()), 'invalid_option', /already/)
  })

  it('finds every damaged byte, and names the file', async () => {
    const data = `folder:${await folder(3)},size=8`
    const out = freshDir()
    await packSplit(data, 'train', out)
    const [pixels, record] = [join(out, 'train.u8'), join(out, 'train.json')]
    const good = Uint8Array.from(readFileSync(pixels))
    const changed = Uint8Array.from(good)
    changed[700] ^= 1
    writeFileSync(pixels, changed)
    await expectError(() => verifyPack(out, 'train'), 'invalid_data', /train\.u8: bytes 0 to/)
    await expectError(() => openPacked(out), 'invalid_data', /train\.u8: bytes 0 to/)
    writeFileSync(pixels, good.subarray(1))
    await expectError(() => openPacked(out, 'train', { resident: false }), 'invalid_data', /expected 1152 bytes/)
    writeFileSync(pixels, good)
    const text = readFileSync(record, 'utf8')
    writeFileSync(record, text.replace('"cat"', '"cow"'))
    await expectError(() => openPacked(out), 'invalid_data', /sha256/)
    for (const change of [{ labels: [[0, 5]] }, { labels: [[2, 6]] }, { pieces: [] }, { shape: [6, 8, 8] }, { flip: 1 }]) {
      writeFileSync(record, encodeSealed({ ...parseRecord(record, text), ...change }))
      await expectError(() => openPacked(out), 'invalid_data', new RegExp(Object.keys(change)[0]))
    }
    rmSync(pixels)
    writeFileSync(record, text)
    await expectError(() => openPacked(out), 'io', /train\.u8/)
  })
})

it('packs what is in memory', async () => {
  const data = `mnist:${mnistDir()}`
  const out = freshDir()
  await both(data, out)
  const original = await openDataset(data)
  const packed = await openDataset(`packed:${out}`)
  expect([packed.sha256, packed.filesSha256]).toEqual([original.sha256, undefined])
  expect(packed.images).toEqual(original.images)
  expect([packed.mean, packed.std, packed.flip]).toEqual([original.mean, original.std, original.flip])
})
