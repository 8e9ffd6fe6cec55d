/** @file Images of a target at the size and with the channels of the set: antialiased bilinear, gray to colour. */
import { expected } from '../errors.js'
import { Turn } from '../event-loop.js'

type MapShape = readonly [number, number, number]

interface Tap {
  readonly first: number
  readonly weights: Float64Array
}

/** Weights of the triangle filter for each of `to` pixels over `from`: as wide as the step where the image shrinks. */
export function triangleTaps(from: number, to: number): Tap[] {
  const step = from / to
  const reach = Math.max(1, step)
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * step
    const first = Math.max(0, Math.floor(centre - reach))
    const end = Math.min(from, Math.ceil(centre + reach))
    const weights = Float64Array.from({ length: end - first }, (_, k) => Math.max(0, 1 - Math.abs(first + k + 0.5 - centre) / reach))
    const total = weights.reduce((a, b) => a + b, 0)
    return { first, weights: weights.map((w) => w / total) }
  })
}

/** Bytes [N, H, W, C] of all images at [height, width, channels] `to`. Throws `invalid_data`, naming them as `what`, for channels that cannot be made of the given. */
export async function resizeImages(
  what: string,
  pixels: Uint8Array,
  [n, h, w, c]: readonly [number, number, number, number],
  to: MapShape,
): Promise<Uint8Array> {
  const [height, width, channels] = to
  if (c !== channels && c !== 1 && !(channels === 1 && c === 3))
    throw expected(
      'invalid_data',
      what,
      `images of ${channels === 1 ? '1 channel' : `${channels} channels`} as the set has${channels === 1 ? ', or of 3' : ', or of 1'}`,
      c,
      'convert them',
    )
  const sized = h === height && w === width ? pixels : await resample(pixels, [n, h, w, c], height, width)
  if (c === channels) return sized
  const out = new Uint8Array(n * height * width * channels)
  const turn = new Turn()
  for (let i = 0; i < n * height * width; i++) {
    if (c === 1) out.fill(sized[i], i * channels, (i + 1) * channels)
    // Luma of ITU-R 601, as image libraries turn colour to gray.
    else out[i] = Math.round(0.299 * sized[3 * i] + 0.587 * sized[3 * i + 1] + 0.114 * sized[3 * i + 2])
    if (i % 65536 === 0) await turn.breathe()
  }
  return out
}

async function resample(
  pixels: Uint8Array,
  [n, h, w, c]: readonly [number, number, number, number],
  height: number,
  width: number,
): Promise<Uint8Array> {
  const [down, across] = [triangleTaps(h, height), triangleTaps(w, width)]
  const out = new Uint8Array(n * height * width * c)
  const rows = new Float64Array(h * width * c)
  const turn = new Turn()
  for (let image = 0; image < n; image++) {
    const from = image * h * w * c
    for (let y = 0; y < h; y++)
      for (const [x, { first, weights }] of across.entries())
        for (let k = 0; k < c; k++) {
          let total = 0
          for (const [j, weight] of weights.entries()) total += weight * pixels[from + (y * w + first + j) * c + k]
          rows[(y * width + x) * c + k] = total
        }
    for (const [y, { first, weights }] of down.entries())
      for (let x = 0; x < width * c; x++) {
        let total = 0
        for (const [j, weight] of weights.entries()) total += weight * rows[(first + j) * width * c + x]
        out[image * height * width * c + y * width * c + x] = Math.round(total)
      }
    await turn.breathe()
  }
  return out
}
