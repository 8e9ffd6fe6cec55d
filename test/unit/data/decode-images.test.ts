/** @file Decoding: what pixels come out of which file, the resize rules, and every file that must be refused by name. */
import { chmodSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import sharp, { type Sharp } from 'sharp'
import { describe, expect, it } from 'vitest'
import { crc32 } from '../../../src/crc32.js'
import { decodeImages, eachInOrder } from '../../../src/data/decode-images.js'
import { bytes, expectError, freshDir, write } from './fixtures.js'
import { halves, jpeg, plain, png, tree } from './image-fixtures.js'

const decodeOne = async (content: Uint8Array, options = {}) => decodeImages([write(freshDir(), 'a.JPEG', content)], options)

describe('decodes', () => {
  it('files in order, whatever their names say they are', async () => {
    const dir = tree({ 'a.JPEG': await png(plain([10, 20, 30])), 'b.png': await jpeg(plain([200, 200, 200])) })
    const { images, shape } = await decodeImages([join(dir, 'a.JPEG'), join(dir, 'b.png')])
    expect(shape).toEqual([2, 8, 8, 3])
    expect([...images.subarray(0, 3)]).toEqual([10, 20, 30])
    expect([...images.subarray(8 * 8 * 3, 8 * 8 * 3 + 3)]).toEqual([200, 200, 200])
  })

  it.each<[string, () => Promise<Uint8Array>, readonly number[], number]>([
    ['gray as three equal channels', () => png(plain([90, 90, 90]).toColourspace('b-w')), [90, 90, 90], 0],
    ['CMYK as sRGB', () => jpeg(plain([200, 100, 50]).toColourspace('cmyk')), [200, 100, 50], 40],
    ['16 bits as 8', () => png(plain([200, 100, 50]).toColourspace('rgb16')), [200, 100, 50], 1],
    ['WebP', async () => Uint8Array.from(await plain([30, 60, 90]).webp({ lossless: true }).toBuffer()), [30, 60, 90], 0],
    [
      'a progressive JPEG',
      async () => Uint8Array.from(await plain([128, 128, 128]).jpeg({ progressive: true }).toBuffer()),
      [128, 128, 128],
      1,
    ],
  ])('%s', async (_, content, colour, tolerance) => {
    const { images, shape } = await decodeOne(await content())
    expect(shape).toEqual([1, 8, 8, 3])
    for (const [c, value] of colour.entries()) expect(Math.abs(images[c] - value)).toBeLessThanOrEqual(tolerance)
  })

  it('drops alpha and keeps the colours under it', async () => {
    const content = await png(sharp({ create: { width: 4, height: 4, channels: 4, background: { r: 200, g: 100, b: 50, alpha: 0 } } }))
    expect([...(await decodeOne(content)).images.subarray(0, 3)]).toEqual([200, 100, 50])
  })

  it('does not turn an image by its EXIF orientation', async () => {
    const content = Uint8Array.from(await halves(8, 4).jpeg().withMetadata({ orientation: 6 }).toBuffer())
    expect((await decodeOne(content)).shape).toEqual([1, 4, 8, 3])
  })

  it('does not let an embedded profile change the values', async () => {
    const image = sharp({ create: { width: 8, height: 8, channels: 3, background: { r: 200, g: 100, b: 50 } } })
    const content = Uint8Array.from(await image.withIccProfile('p3', { attach: true }).png().toBuffer())
    const stored = await sharp(content, { ignoreIcc: true }).raw().toBuffer()
    expect((await sharp(content).metadata()).icc).toBeDefined()
    expect([...stored.subarray(0, 3)]).not.toEqual([200, 100, 50])
    expect([...(await decodeOne(content)).images.subarray(0, 3)]).toEqual([...stored.subarray(0, 3)])
  })

  it('takes the first frame of an animation', async () => {
    const frames = new Uint8Array(2 * 8 * 8 * 3).fill(10, 0, 8 * 8 * 3).fill(200, 8 * 8 * 3)
    const content = await webp(sharp(frames, { raw: { width: 8, height: 16, channels: 3, pageHeight: 8 } as never }))
    expect((await sharp(content).metadata()).pages).toBe(2)
    const { images, shape } = await decodeOne(content)
    expect(shape).toEqual([1, 8, 8, 3])
    expect(new Set(images)).toEqual(new Set([10]))
  })

  it.each([
    [1, 1],
    [1, 20_000],
    [20_000, 1],
  ])('%i x %i pixels at any size, and as they are', async (width, height) => {
    const content = await png(plain([10, 20, 30], width, height))
    expect((await decodeOne(content)).shape).toEqual([1, height, width, 3])
    for (const fit of ['squash', 'crop']) {
      const { images, shape } = await decodeOne(content, { size: 16, fit })
      expect([shape, [...images.subarray(0, 3)]]).toEqual([
        [1, 16, 16, 3],
        [10, 20, 30],
      ])
    }
  })

  it('squashes both sides, or crops the middle square of the shorter', async () => {
    // black | gray middle | white: a crop of the middle sees gray only
    const wide = sharp(
      Uint8Array.from({ length: 24 * 8 * 3 }, (_, i) => [0, 128, 255][Math.floor((Math.floor(i / 3) % 24) / 8)]),
      { raw: { width: 24, height: 8, channels: 3 } },
    )
    const content = await png(wide)
    const squashed = await decodeOne(content, { size: 6 })
    expect(squashed.shape).toEqual([1, 6, 6, 3])
    expect([squashed.images[0], squashed.images[5 * 3]]).toEqual([0, 255])
    const cropped = await decodeOne(content, { size: 6, fit: 'crop' })
    for (const x of [1, 2, 3, 4]) expect(cropped.images[x * 3]).toBe(128)
  })

  it('averages over all pixels when it reduces', async () => {
    // one column in eight is white: sampling would see black or white
    const stripes = Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (Math.floor(i / 3) % 8 === 3 ? 255 : 0))
    const { images } = await decodeOne(await png(sharp(stripes, { raw: { width: 64, height: 64, channels: 3 } })), { size: 4 })
    for (const value of images) expect(Math.abs(value - 255 / 8)).toBeLessThan(4)
  })
})

const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8" fill="red"/></svg>'
const webp = async (image: Sharp): Promise<Uint8Array> => Uint8Array.from(await image.webp({ lossless: true }).toBuffer())

/** The decoder reads the file all the same: it knows its format by other bytes. */
async function sayingWebP(image: Sharp): Promise<Uint8Array> {
  const content = Uint8Array.from(await image.toBuffer())
  content.set(new TextEncoder().encode('WEBP'), 8)
  expect((await sharp(content).metadata()).format).toBe('tiff')
  return content
}

/** The marker of the end stands in the middle of the last scan. */
const endingInside = (content: Uint8Array): Uint8Array => {
  const scan = content.findLastIndex((byte, i) => byte === 0xff && content[i + 1] === 0xda)
  content.set([0xff, 0xd9], Math.floor((scan + content.length) / 2))
  return content
}

/** A PNG of a few bytes whose header announces a picture of any size. */
function announced(width: number, height: number): Uint8Array {
  const chunk = (type: string, data: Uint8Array) => {
    const whole = bytes(new Uint8Array(4), new TextEncoder().encode(type), data, new Uint8Array(4))
    const view = new DataView(whole.buffer)
    view.setUint32(0, data.length)
    view.setUint32(8 + data.length, crc32(whole.subarray(4, 8 + data.length)))
    return whole
  }
  const header = new Uint8Array(13)
  new DataView(header.buffer).setUint32(0, width)
  new DataView(header.buffer).setUint32(4, height)
  header.set([8, 2], 8)
  const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
  return bytes(
    signature,
    chunk('IHDR', header),
    chunk('IDAT', Uint8Array.from(deflateSync(new Uint8Array(1000)))),
    chunk('IEND', new Uint8Array(0)),
  )
}

/** Runs `action` without the rights of root, who may read everything. */
async function asNobody(action: () => Promise<void>): Promise<void> {
  const isRoot = process.getuid?.() === 0
  if (isRoot) process.seteuid?.(65534)
  try {
    await action()
  } finally {
    if (isRoot) process.seteuid?.(0)
  }
}

describe('refuses', () => {
  it.each<[string, () => Promise<Uint8Array> | Uint8Array, RegExp]>([
    ['an empty file', () => new Uint8Array(0), /a\.JPEG: .*empty/],
    ['text', () => new TextEncoder().encode('not an image'), /a\.JPEG: expected JPEG, PNG, WebP/],
    ['an animated GIF', () => new TextEncoder().encode('GIF89a…'), /something else/],
    ['an SVG', () => new TextEncoder().encode('<svg xmlns="http://www.w3.org/2000/svg"/>'), /something else/],
    ['an SVG that says WebP where one does', () => new TextEncoder().encode(`<!--    WEBP -->${svg}`), /something else/],
    ['a TIFF that says WebP where one does', () => sayingWebP(plain([1, 2, 3]).tiff({ compression: 'none' })), /something else/],
    ['a JPEG cut short', async () => (await jpeg(halves(64, 64))).subarray(0, -200), /a\.JPEG: .*cut short or damaged/],
    ['a JPEG of its first bytes', () => Uint8Array.of(0xff, 0xd8, 0xff), /cut short or damaged/],
    ['a JPEG whose end comes too early', async () => endingInside(await jpeg(halves(64, 64))), /cut short or damaged/],
    ['a WebP cut short', async () => (await webp(halves(64, 64))).subarray(0, -20), /cut short or damaged/],
    ['a WebP of four gigabytes by its header', async () => (await webp(plain([1, 2, 3]))).fill(0xff, 4, 8), /cut short or damaged/],
    ['a PNG cut short', async () => (await png(halves(64, 64))).subarray(0, -30), /cut short or damaged/],
    [
      'a PNG with a flipped byte',
      async () => (await png(plain([1, 2, 3], 32))).map((byte, i) => (i === 60 ? byte ^ 0xff : byte)),
      /damaged/,
    ],
    ['a picture of 256 million pixels', () => announced(16_000, 16_000), /at most 100000000 pixels/],
  ])('%s', async (_, content, message) => {
    const dir = freshDir()
    const path = write(dir, 'a.JPEG', await content())
    await expectError(() => decodeImages([path], { size: 8 }), 'invalid_data', message)
  })

  it('images of several sizes without a size to resize to, naming both', async () => {
    const dir = tree({ 'a.png': await png(plain([1, 1, 1], 8)), 'b.png': await png(plain([1, 1, 1], 9, 8)) })
    const paths = ['a.png', 'b.png'].map((name) => join(dir, name))
    await expectError(() => decodeImages(paths), 'invalid_data', /b\.png: expected 8x8 pixels as in .*a\.png but received 9x8; give a size/)
    expect((await decodeImages(paths, { size: 4 })).shape).toEqual([2, 4, 4, 3])
  })

  it('the first bad file of several', async () => {
    const good = await png(plain([1, 2, 3]))
    const names = Array.from({ length: 40 }, (_, i) => `${String(i).padStart(2, '0')}.png`)
    const dir = tree(Object.fromEntries(names.map((name, i) => [name, [7, 9, 11].includes(i) ? 'broken' : good])))
    await expectError(() => decodeImages(names.map((name) => join(dir, name))), 'invalid_data', /07\.png/)
  })

  it('a link to nothing, a link to itself, a directory', async () => {
    const dir = tree({ 'c.png/d.png': '' })
    symlinkSync('nowhere.png', join(dir, 'a.png'))
    symlinkSync('b.png', join(dir, 'b.png'))
    await expectError(() => decodeImages([join(dir, 'a.png')]), 'not_found', /a\.png/)
    await expectError(() => decodeImages([join(dir, 'b.png')]), 'io', /b\.png: .*symbolic links/)
    await expectError(() => decodeImages([join(dir, 'c.png')]), 'invalid_data', /c\.png: .*directory/)
  })

  it.skipIf(process.platform === 'win32')('a file that may not be read', async () => {
    const dir = tree({ 'a.png': await png(plain([1, 2, 3])), 'b.png': await png(plain([1, 2, 3])) })
    chmodSync(dir, 0o755)
    chmodSync(join(dir, 'b.png'), 0)
    await asNobody(() => expectError(() => decodeImages([join(dir, 'a.png'), join(dir, 'b.png')]), 'io', /b\.png: permission denied/))
  })

  it('to go on after an abort', async () => {
    const dir = tree({ 'a.png': await png(plain([1, 2, 3])) })
    const path = join(dir, 'a.png')
    await expect(decodeImages([path, path], { signal: AbortSignal.abort('enough') })).rejects.toMatchObject({ name: 'AbortError' })
  })
})

it('runs a few tasks at a time, all of them once', async () => {
  const done: number[] = []
  let running = 0
  let most = 0
  await eachInOrder(20, async (i) => {
    most = Math.max(most, ++running)
    await new Promise(setImmediate)
    running--
    done.push(i)
  })
  expect(done.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i))
  expect(most).toBe(4)
})
