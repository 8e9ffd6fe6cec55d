/** @file A contact sheet of a labelled image set: one row a class, enlarged by whole factors so that pixels stay pixels. */

import type { Raster } from '../data/png.js'

export interface ImageRows {
  /** N*H*W*C bytes. */
  readonly images: Uint8Array
  readonly shape: readonly [number, number, number, number]
  /** Image numbers of each row of the sheet. */
  readonly rows: readonly (readonly number[])[]
}

/** Longest side of a sheet in pixels; larger sets are shown by their first images. */
const maxSide = 4096
const gap = 1

/** Image numbers of each class, in order. */
export function rowsByClass(labels: Int32Array, classes: number): number[][] {
  const rows = Array.from({ length: classes }, () => [] as number[])
  labels.forEach((label, i) => {
    rows[label].push(i)
  })
  return rows
}

/** Factor that makes an image at least about 64 pixels wide. */
export const defaultUpscale = (height: number, width: number): number => Math.max(1, Math.floor(64 / Math.max(height, width)))

/** Channels that a picture can show of images with `channels`: the first three as red, green and blue, or the first one as gray. */
export const shownChannels = (channels: number): 1 | 3 => (channels < 3 ? 1 : 3)

export function imageGrid({ images, shape, rows }: ImageRows, upscale: number = defaultUpscale(shape[1], shape[2])): Raster {
  const [, h, w, channels] = shape
  const c = shownChannels(channels)
  const cell = { height: h * upscale + gap, width: w * upscale + gap }
  const columns = Math.min(Math.max(1, ...rows.map((row) => row.length)), Math.max(1, Math.floor(maxSide / cell.width)))
  const lines = Math.min(rows.length, Math.max(1, Math.floor(maxSide / cell.height)))
  const width = columns * cell.width - gap
  const height = lines * cell.height - gap
  const pixels = new Uint8Array(width * height * c).fill(255)
  for (let line = 0; line < lines; line++) {
    for (const [column, image] of rows[line].slice(0, columns).entries()) {
      const source = images.subarray(image * h * w * channels, (image + 1) * h * w * channels)
      drawImage(source, shape, upscale, pixels, (line * cell.height * width + column * cell.width) * c, width * c)
    }
  }
  return { width, height, channels: c, pixels }
}

/** Writes one enlarged image, the channels that are shown, at byte `origin` of a sheet whose lines are `stride` bytes apart. */
function drawImage(
  source: Uint8Array,
  [, h, w, channels]: ImageRows['shape'],
  upscale: number,
  sheet: Uint8Array,
  origin: number,
  stride: number,
): void {
  const c = shownChannels(channels)
  const lineBytes = w * upscale * c
  for (let y = 0; y < h; y++) {
    const start = origin + y * upscale * stride
    for (let i = 0; i < lineBytes; i++) sheet[start + i] = source[(y * w + Math.floor(i / (upscale * c))) * channels + (i % c)]
    for (let copy = 1; copy < upscale; copy++) sheet.copyWithin(start + copy * stride, start, start + lineBytes)
  }
}
