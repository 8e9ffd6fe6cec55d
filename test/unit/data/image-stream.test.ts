/** @file Streams of images: blocks in order, the same pixels and hashes as read whole, a few ahead and no more, failures where they belong. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { imageFolder, listImageFolder } from '../../../src/data/image-folder.js'
import { type Block, datasetStream, fileStream, type ImageStream } from '../../../src/data/image-stream.js'
import { isOfFiles, openImageStream } from '../../../src/data/open.js'
import { datasetOf } from '../prune/datasets.js'
import { expectError } from './fixtures.js'
import { plain, png, tree } from './image-fixtures.js'

const blocksOf = (total: number, rows: number): Block[] =>
  Array.from({ length: Math.ceil(total / rows) }, (_, i) => ({ first: i * rows, rows: Math.min(rows, total - i * rows) }))

async function folder(count: number, changes: Readonly<Record<string, Uint8Array | string>> = {}): Promise<string> {
  const files = await Promise.all(
    Array.from({ length: count }, async (_, i) => [`a/${String(i).padStart(3, '0')}.png`, await png(plain([i, 0, 0], 4))] as const),
  )
  const all = { ...Object.fromEntries(files), ...changes }
  return tree({ ...Object.fromEntries(Object.entries(all).map(([name, bytes]) => [`train/${name}`, bytes])), 'val/a/0.png': files[0][1] })
}

async function collect(stream: ImageStream, blocks: readonly Block[]) {
  const pixels: number[] = []
  const places: number[] = []
  for await (const block of stream.read({ blocks })) {
    places.push(block.first)
    pixels.push(...block.images)
  }
  return { pixels, places }
}

it.each([1, 3, 7, 100])('gives blocks of %i in order, with the pixels of the whole', async (rows) => {
  const dir = await folder(20)
  const whole = await imageFolder(dir, 'train', { size: 3 })
  const stream = await openImageStream(`folder:${dir},size=3`)
  const { pixels, places } = await collect(stream, blocksOf(20, rows))
  expect(pixels).toEqual([...whole.images])
  expect(places).toEqual(blocksOf(20, rows).map(({ first }) => first))
  expect((await collect(datasetStream(whole), blocksOf(20, rows))).pixels).toEqual(pixels)
})

it('reads the blocks that are asked for, at a size that the specification leaves open', async () => {
  const stream = await openImageStream(`folder:${await folder(9)}`, 'train', { size: 2 })
  expect(stream.image).toEqual([2, 2, 3])
  const blocks = [
    { first: 6, rows: 2 },
    { first: 1, rows: 1 },
  ]
  const { pixels } = await collect(stream, blocks)
  expect([pixels[0], pixels[12], pixels[24]]).toEqual([6, 7, 1])
})

it('fails at the first bad file in order, and not before its block', async () => {
  const dir = await folder(40, { 'a/030.png': 'broken', 'a/031.png': 'broken' })
  const stream = await openImageStream(`folder:${dir},size=2`)
  const seen: number[] = []
  const read = async () => {
    for await (const { first } of stream.read({ blocks: blocksOf(40, 4) })) seen.push(first)
  }
  await expectError(read, 'invalid_data', /030\.png/)
  expect(seen).toEqual([0, 4, 8, 12, 16, 20, 24])
})

it('leaves zeros where a file is skipped, and says which', async () => {
  const folderOf = await listImageFolder(await folder(6, { 'a/002.png': 'broken' }), 'train')
  const stream = await fileStream(folderOf, { onUnreadable: 'skip' })
  for await (const { images, hashes, unreadable } of stream.read({ blocks: [{ first: 0, rows: 6 }] })) {
    expect([...images.subarray(2 * 48, 3 * 48)]).toEqual(new Array(48).fill(0))
    expect(hashes?.map((hash) => hash !== undefined)).toEqual([true, true, false, true, true, true])
    expect(unreadable.map(({ row, path }) => [row, path.endsWith(join('a', '002.png'))])).toEqual([[2, true]])
  }
})

it('ends on a signal, and when nobody takes more', async () => {
  const stream = await openImageStream(`folder:${await folder(30)},size=2`)
  const abort = new AbortController()
  const read = async () => {
    for await (const _ of stream.read({ blocks: blocksOf(30, 2), signal: abort.signal })) abort.abort()
  }
  await expect(read()).rejects.toMatchObject({ name: 'AbortError' })
  for await (const _ of stream.read({ blocks: blocksOf(30, 2) })) break
})

it('says sizes that differ', async () => {
  const stream = await openImageStream(`folder:${await folder(3, { 'a/009.png': await png(plain([1, 1, 1], 5)) })}`)
  await expectError(() => collect(stream, blocksOf(4, 2)), 'invalid_data', /009\.png: expected 4x4 pixels .* received 5x5/)
})

it('knows what is read from files', () => {
  expect([isOfFiles('folder:x'), isOfFiles('tiny-imagenet:x'), isOfFiles('cifar10:x')]).toEqual([true, true, false])
  expect(datasetStream(datasetOf([0, 1])).image).toEqual([1, 1, 1])
})
