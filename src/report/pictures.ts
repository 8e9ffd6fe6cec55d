/** @file A strip of images as one picture, enlarged in the page, each image with what is known of it. */
import { encodePng } from '../data/png.js'
import { imageGrid } from '../experiment/image-grid.js'
import { escapeHtml } from './html.js'

type Shape = readonly [number, number, number, number]

export interface Strip {
  /** Above the picture. */
  readonly name: string
  /** Bytes NHWC. */
  readonly images: Uint8Array
  readonly shape: Shape
  /** Which of the images, in order. */
  readonly numbers: readonly number[]
  /** What the picture shows, for whoever does not see it. */
  readonly describe: string
  /** One for each number: shown under the pointer and under the enlarged picture. */
  readonly captions?: readonly string[]
}

export function pictureStrip({ name, images, shape, numbers, describe, captions }: Strip): string {
  const [, h, w] = shape
  // shown at about 64 pixels, sent at their own size: the browser enlarges
  const zoom = Math.max(1, Math.round(64 / h))
  const { width, height, ...raster } = imageGrid({ images, shape, rows: [numbers] }, 1)
  const png = Buffer.from(encodePng({ width, height, ...raster })).toString('base64')
  const alt = `${describe}, ${w} by ${h} pixels each`
  const said = captions ? ` data-captions="${escapeHtml(JSON.stringify(captions))}"` : ''
  return `<figure><figcaption>${escapeHtml(name)}</figcaption><button type="button" class="zoom" data-image-width="${w}"${said}><img alt="${escapeHtml(alt)}" width="${width * zoom}" height="${height * zoom}" src="data:image/png;base64,${png}"></button></figure>`
}

/** Largest side of an image that is sent as it is. */
const largest = 64

/** Images at a whole fraction of their size, each pixel the mean of a square, so that a page with many stays small. */
export function thumbnails(images: Uint8Array, shape: Shape): { readonly images: Uint8Array; readonly shape: Shape } {
  const [n, h, w, c] = shape
  const factor = Math.ceil(Math.max(h, w) / largest)
  if (factor === 1) return { images, shape }
  const [height, width] = [Math.max(1, Math.floor(h / factor)), Math.max(1, Math.floor(w / factor))]
  const small = new Uint8Array(n * height * width * c)
  const [tall, wide] = [Math.min(factor, h), Math.min(factor, w)]
  for (let image = 0, at = 0; image < n; image++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let channel = 0; channel < c; channel++) {
          let sum = 0
          for (let dy = 0; dy < tall; dy++)
            for (let dx = 0; dx < wide; dx++) sum += images[((image * h + y * factor + dy) * w + x * factor + dx) * c + channel]
          small[at++] = Math.round(sum / (tall * wide))
        }
  return { images: small, shape: [n, height, width, c] }
}
