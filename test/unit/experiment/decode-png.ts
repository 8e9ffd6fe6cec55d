/** @file An independent reading of a PNG: signature, chunk CRCs (table-free), inflate, filters. */
import { inflateSync } from 'node:zlib'
import { expect } from 'vitest'

/** CRC-32 bit by bit, as the PNG specification defines it. */
function slowCrc(bytes: Uint8Array): number {
  let c = 0xffffffff
  for (const byte of bytes) {
    c ^= byte
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
  }
  return ~c >>> 0
}

export function decodePng(file: Uint8Array): { width: number; height: number; channels: number; pixels: Uint8Array } {
  expect([...file.subarray(0, 8)]).toEqual([137, 80, 78, 71, 13, 10, 26, 10])
  const view = new DataView(file.buffer, file.byteOffset)
  const chunks = new Map<string, Uint8Array>()
  for (let at = 8; at < file.length; ) {
    const length = view.getUint32(at)
    expect(view.getUint32(at + 8 + length)).toBe(slowCrc(file.subarray(at + 4, at + 8 + length)))
    chunks.set(new TextDecoder().decode(file.subarray(at + 4, at + 8)), file.subarray(at + 8, at + 8 + length))
    at += 12 + length
  }
  expect([...chunks.keys()]).toEqual(['IHDR', 'IDAT', 'IEND'])
  const header = chunks.get('IHDR')!
  const [width, height] = [0, 4].map((at) => new DataView(header.buffer, header.byteOffset).getUint32(at))
  expect([header[8], header[10], header[11], header[12]]).toEqual([8, 0, 0, 0])
  const channels = header[9] === 0 ? 1 : 3
  const lines = inflateSync(chunks.get('IDAT')!)
  expect(lines.length).toBe(height * (width * channels + 1))
  const pixels = new Uint8Array(width * height * channels)
  for (let y = 0; y < height; y++) {
    const at = y * (width * channels + 1)
    expect(lines[at]).toBe(0)
    pixels.set(lines.subarray(at + 1, at + 1 + width * channels), y * width * channels)
  }
  return { width, height, channels, pixels }
}
