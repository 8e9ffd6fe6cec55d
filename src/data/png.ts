/** @file PNG, writing only: 8-bit gray or RGB, one deflate stream, no ancillary chunks. Equal pixels, equal bytes (for one zlib). */
import { deflateSync } from 'node:zlib'
import { crc32 } from '../crc32.js'
import { expected } from '../errors.js'
import { asBytes } from './file-bytes.js'

export interface Raster {
  readonly width: number
  readonly height: number
  /** 1 gray, 3 RGB. */
  readonly channels: 1 | 3
  /** height * width * channels bytes, row-major, channels last. */
  readonly pixels: Uint8Array
}

const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, data.length)
  bytes.set(new TextEncoder().encode(type), 4)
  bytes.set(data, 8)
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)))
  return bytes
}

export function encodePng({ width, height, channels, pixels }: Raster): Uint8Array {
  if (pixels.length !== width * height * channels) {
    throw expected('invalid_shape', 'PNG pixels', `${width * height * channels} bytes for ${width}x${height}x${channels}`, pixels.length)
  }
  const header = new Uint8Array(13)
  const view = new DataView(header.buffer)
  view.setUint32(0, width)
  view.setUint32(4, height)
  header[8] = 8
  header[9] = channels === 1 ? 0 : 2
  const rowBytes = width * channels
  // filter type 0 (none) in front of every row
  const scanlines = new Uint8Array(height * (rowBytes + 1))
  for (let y = 0; y < height; y++) scanlines.set(pixels.subarray(y * rowBytes, (y + 1) * rowBytes), y * (rowBytes + 1) + 1)
  const parts = [
    signature,
    chunk('IHDR', header),
    chunk('IDAT', asBytes(deflateSync(scanlines, { level: 9 }))),
    chunk('IEND', new Uint8Array(0)),
  ]
  const file = new Uint8Array(parts.reduce((n, part) => n + part.length, 0))
  let offset = 0
  for (const part of parts) {
    file.set(part, offset)
    offset += part.length
  }
  return file
}
