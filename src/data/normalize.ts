/** @file Pixels between uint8 and the normalised float32 that networks see: x = (u/255 - mean) / std, per channel. */
import { expected } from '../errors.js'
import { inPieces, Turn } from '../event-loop.js'

export interface ChannelStatistics {
  readonly mean: readonly number[]
  readonly std: readonly number[]
}

/** scale = 1/(255 std) and shift = -mean/std, so that x = u*scale + shift: the two vectors that image_gather takes. */
export function scaleShift({ mean, std }: ChannelStatistics): { scale: Float32Array; shift: Float32Array } {
  if (mean.length !== std.length) throw expected('invalid_option', 'std', `${mean.length} channels, as many as mean`, std.length)
  return { scale: Float32Array.from(std, (s) => 1 / (255 * s)), shift: Float32Array.from(mean, (m, c) => -m / std[c]) }
}

/** Normalised copy of uint8 pixels whose last dimension is the channel. */
export function normalizeImages(images: Uint8Array, statistics: ChannelStatistics): Float32Array {
  const { scale, shift } = scaleShift(statistics)
  const channels = scale.length
  // Not Float32Array.from with a function: V8 makes a list of all elements first, which ends the process at some hundred million.
  const pixels = new Float32Array(images.length)
  for (let i = 0; i < images.length; i += channels) {
    for (let c = 0; c < channels; c++) pixels[i + c] = images[i + c] * scale[c] + shift[c]
  }
  return pixels
}

/** As `normalizeImages`, of any number of pixels without holding the event loop. */
export async function normalizeInTurns(images: Uint8Array, statistics: ChannelStatistics): Promise<Float32Array> {
  const channels = statistics.mean.length
  const pixels = new Float32Array(images.length)
  await inPieces(images.length / channels, new Turn(), (from, to) => {
    const [first, end] = [from * channels, to * channels]
    pixels.set(normalizeImages(images.subarray(first, end), statistics), first)
  })
  return pixels
}

/** Pixels for the eye: back to [0, 255], rounded, clipped. Values that are not finite become 0. */
export function denormalizeImages(images: Float32Array, { mean, std }: ChannelStatistics): Uint8Array {
  const channels = mean.length
  const bytes = new Uint8Array(images.length)
  for (let i = 0; i < images.length; i++) {
    const c = i % channels
    const u = Math.round((images[i] * std[c] + mean[c]) * 255)
    bytes[i] = Number.isFinite(u) ? Math.min(255, Math.max(0, u)) : 0
  }
  return bytes
}
