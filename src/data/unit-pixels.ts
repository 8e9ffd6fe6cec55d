/** @file Bytes as pixels in [0, 1], which teachers take. */
import { inPieces, Turn } from '../event-loop.js'

/** byte / 255, float32, of any number of bytes without holding the event loop. */
export async function unitPixels(bytes: Uint8Array): Promise<Float32Array> {
  const pixels = new Float32Array(bytes.length)
  await inPieces(bytes.length, new Turn(), (from, to) => {
    for (let i = from; i < to; i++) pixels[i] = bytes[i] / 255
  })
  return pixels
}
