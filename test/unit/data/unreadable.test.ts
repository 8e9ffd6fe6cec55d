/** @file Files that cannot be decoded, and the identity of those that can: kept apart from how large they are decoded. */
import { readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { imageFolder } from '../../../src/data/image-folder.js'
import { openDataset } from '../../../src/data/open.js'
import { expectError, freshDir } from './fixtures.js'
import { halves, jpeg, plain, png, tree } from './image-fixtures.js'

const good = (value: number) => png(plain([value, 0, 0], 4))
const cut = async () => (await jpeg(halves(64, 64))).subarray(0, -200)

async function folder(changes: Readonly<Record<string, Uint8Array | string>> = {}): Promise<string> {
  const files = { 'a/1.png': await good(1), 'a/2.png': await good(2), 'b/3.png': await good(3), 'b/4.png': await good(4) }
  const training = Object.entries({ ...files, ...changes }).map(([name, content]) => [`train/${name}`, content] as const)
  return tree({ ...Object.fromEntries(training), 'val/a/1.png': files['a/1.png'] })
}

describe('files that are no whole image', () => {
  it('fail by default, by name', async () => {
    await expectError(async () => imageFolder(await folder({ 'a/2.png': 'text' })), 'invalid_data', /a\/2\.png: expected JPEG/)
  })

  it('are left out on request, listed with their reasons, and rows move up', async () => {
    const dir = await folder({ 'a/1.png': 'text', 'a/1b.png': await good(9), 'b/3.png': await cut() })
    const set = await openDataset(`folder:${dir},size=4,on-unreadable=skip`)
    expect([...set.labels]).toEqual([0, 0, 1])
    expect([0, 1, 2].map((row) => set.images[row * 48])).toEqual([9, 2, 4])
    expect(set.unreadable?.map(({ row, path }) => [row, path])).toEqual([
      [0, join(dir, 'train/a/1.png')],
      [3, join(dir, 'train/b/3.png')],
    ])
    expect(set.unreadable?.map(({ reason }) => /expected JPEG|cut short/.test(reason))).toEqual([true, true])
  })

  it('leave the same rows out by way of the cache', async () => {
    const dir = await folder({ 'a/1.png': 'text', 'b/3.png': await cut(), 'b/5.png': await good(5) })
    const cache = freshDir()
    const options = { size: 4, onUnreadable: 'skip', cache } as const
    const plainly = await imageFolder(dir, 'train', { size: 4, onUnreadable: 'skip' })
    for (let turn = 0; turn < 2; turn++) {
      const set = await imageFolder(dir, 'train', options)
      expect([set.sha256, set.filesSha256, set.unreadable]).toEqual([plainly.sha256, plainly.filesSha256, plainly.unreadable])
    }
    expect(readdirSync(cache)).toHaveLength(1)
    await expectError(() => imageFolder(dir, 'train', { size: 4, cache }), 'invalid_data', /1\.png/)
  })

  it('may not empty a class, nor be all there is', async () => {
    const skip = { onUnreadable: 'skip' } as const
    const half = await folder({ 'a/1.png': 'text', 'a/2.png': 'text' })
    await expectError(() => imageFolder(half, 'train', skip), 'invalid_data', /not one image of class 'a' could be decoded/)
    const all = tree({ 'train/a/1.png': 'text', 'val/a/1.png': '' })
    await expectError(() => imageFolder(all, 'train', skip), 'invalid_data', /not one of 1 could be decoded; .*1\.png: expected JPEG/)
  })

  it('do not hide what the system refuses', async () => {
    const dir = await folder()
    symlinkSync('nowhere.png', join(dir, 'train/a/0.png'))
    await expectError(() => imageFolder(dir, 'train', { onUnreadable: 'skip' }), 'not_found', /0\.png/)
  })
})

describe('the identity of files', () => {
  it('is the same at any size and fit, and with a file that is left out as without it', async () => {
    const one = await imageFolder(await folder())
    const other = await imageFolder(await folder(), 'train', { size: 7, fit: 'crop' })
    expect(one.filesSha256).toMatch(/^[0-9a-f]{64}$/)
    expect([other.filesSha256, other.sha256 === one.sha256]).toEqual([one.filesSha256, false])
    const skipped = await imageFolder(await folder({ 'a/9.png': '' }), 'train', { onUnreadable: 'skip' })
    expect(skipped.filesSha256).toBe(one.filesSha256)
  })

  it('changes with a byte, a name and a class', async () => {
    const seen = new Set<string | undefined>([(await imageFolder(await folder())).filesSha256])
    seen.add((await imageFolder(await folder({ 'a/2.png': await good(7) }))).filesSha256)
    const [a, b] = [await good(1), await good(3)]
    const pair = (files: Record<string, Uint8Array>) =>
      tree(Object.fromEntries(['train', 'val'].flatMap((part) => Object.entries(files).map(([name, bytes]) => [`${part}/${name}`, bytes]))))
    seen.add((await imageFolder(pair({ 'a/1.png': a, 'b/3.png': b }))).filesSha256)
    seen.add((await imageFolder(pair({ 'a/2.png': a, 'b/3.png': b }))).filesSha256)
    seen.add((await imageFolder(pair({ 'a/1.png': a, 'c/3.png': b }))).filesSha256)
    expect(seen.size).toBe(5)
  })

  it('stays with other normalisation and goes with a choice of rows', async () => {
    const dir = await folder()
    const set = await openDataset(`folder:${dir}`)
    expect((await openDataset(`folder:${dir},normalize=none,flip=no`)).filesSha256).toBe(set.filesSha256)
    expect(set.subset([0, 2]).filesSha256).toBeUndefined()
  })
})
