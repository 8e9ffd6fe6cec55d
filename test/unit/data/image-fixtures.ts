/** @file Small image files made by the decoder's own library, in folders as data sets have them. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import sharp, { type Sharp } from 'sharp'
import { freshDir } from './fixtures.js'

export type Colour = readonly [number, number, number]

/** One colour all over, `side` pixels square unless a height is given. */
export const plain = ([r, g, b]: Colour, width = 8, height = width): Sharp =>
  sharp({ create: { width, height, channels: 3, background: { r, g, b } } })

export const jpeg = async (image: Sharp): Promise<Uint8Array> => Uint8Array.from(await image.jpeg({ quality: 95 }).toBuffer())
export const png = async (image: Sharp): Promise<Uint8Array> => Uint8Array.from(await image.png().toBuffer())

/** Writes files by path into a fresh directory. */
export function tree(files: Readonly<Record<string, Uint8Array | string>>): string {
  const dir = freshDir()
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true })
    writeFileSync(join(dir, path), content)
  }
  return dir
}

/** PNG pixels whose left half is black and right half white. */
export const halves = (width: number, height: number): Sharp => {
  const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) => (Math.floor(i / 3) % width < width / 2 ? 0 : 255))
  return sharp(pixels, { raw: { width, height, channels: 3 } })
}
