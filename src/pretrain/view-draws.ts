/** @file Draws of two-view augmentation: for every image and view a row of numbers, from Philox blocks of its own; the pixels follow on the device. */
import { type Key, philoxBlock } from '../engine/tensor/philox.js'

/** Of one view. Shares are in [0, 1]. */
export interface ViewPolicy {
  /** Area of the crop as a share of the image's, from and to. */
  readonly cropScale: readonly [number, number]
  /** Share of images whose colours are jittered, and the strength of each. */
  readonly jitter: number
  readonly brightness: number
  readonly contrast: number
  readonly saturation: number
  readonly hue: number
  readonly grayscale: number
  readonly flip: number
  readonly solarise: number
  readonly blur: number
}

/** Columns of a row: see `viewColumns`. */
export const viewSize = 17

/** Names of a row's columns, in order. `order0` … `order3`: which of brightness, contrast, saturation and hue comes when. */
export const viewColumns = [
  ...['top', 'left', 'height', 'width', 'flip', 'jitter', 'brightness', 'contrast', 'saturation', 'hue'],
  ...['order0', 'order1', 'order2', 'order3', 'grayscale', 'sigma', 'solarise'],
] as const

/** Sides of a crop: ratio width / height. */
const leastRatio = 3 / 4
const mostRatio = 4 / 3
const attempts = 10
/** Of the Gaussian blur, in pixels. */
const sigmas = [0.1, 2] as const

export interface DrawAddress {
  readonly key: Key
  readonly purpose: number
  readonly step: number
}

/** Uniforms in [0, 1) one after the other, of the blocks that belong to one image. */
class Draws {
  readonly #address: DrawAddress
  readonly #image: number
  readonly #words = new Uint32Array(4)
  #next = 0

  constructor(address: DrawAddress, image: number) {
    this.#address = address
    this.#image = image
  }

  uniform(): number {
    const { key, purpose, step } = this.#address
    // Counter word 3 is never 0 here: the engine's own draws, which leave it 0, share no block with these.
    if (this.#next % 4 === 0) philoxBlock(key, this.#image, step, purpose, 1 + this.#next / 4, this.#words)
    return (this.#words[this.#next++ % 4] >>> 8) * 2 ** -24
  }

  between(from: number, to: number): number {
    return from + (to - from) * this.uniform()
  }

  /** A whole number in [0, count). */
  below(count: number): number {
    return Math.floor(this.uniform() * count)
  }
}

/** The row of image `image` of a step, written to `out` at `at`. */
export function drawView(
  policy: ViewPolicy,
  address: DrawAddress,
  image: number,
  [height, width]: readonly [number, number],
  out: Float32Array,
  at: number,
): void {
  const draws = new Draws(address, image)
  // Everything is drawn whatever the policy says: a share changed moves no other draw but the crop's.
  const chance = (share: number) => Number(draws.uniform() < share)
  const [flip, jitter, grayscale, blur, solarise] = [policy.flip, policy.jitter, policy.grayscale, policy.blur, policy.solarise].map(chance)
  const factor = (strength: number) => draws.between(Math.max(0, 1 - strength), 1 + strength)
  const [brightness, contrast, saturation] = [policy.brightness, policy.contrast, policy.saturation].map(factor)
  const hue = draws.between(-policy.hue, policy.hue)
  const order = [0, 1, 2, 3]
  for (let i = 3; i > 0; i--) {
    const j = draws.below(i + 1)
    ;[order[i], order[j]] = [order[j], order[i]]
  }
  const sigma = draws.between(...sigmas)
  const crop = drawCrop(policy.cropScale, draws, height, width)
  out.set([...crop, flip, jitter, brightness, contrast, saturation, hue, ...order, grayscale, blur === 1 ? sigma : 0, solarise], at)
}

/** [top, left, height, width] of a random crop, in pixels; the largest in the middle where ten tries do not fit (torchvision). */
function drawCrop([least, most]: readonly [number, number], draws: Draws, height: number, width: number): [number, number, number, number] {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const area = height * width * draws.between(least, most)
    const ratio = Math.exp(draws.between(Math.log(leastRatio), Math.log(mostRatio)))
    const [h, w] = [Math.round(Math.sqrt(area / ratio)), Math.round(Math.sqrt(area * ratio))]
    if (h < 1 || h > height || w < 1 || w > width) continue
    return [draws.below(height - h + 1), draws.below(width - w + 1), h, w]
  }
  const ratio = width / height
  const h = ratio < leastRatio ? Math.round(width / leastRatio) : height
  const w = ratio > mostRatio ? Math.round(height * mostRatio) : width
  return [Math.floor((height - h) / 2), Math.floor((width - w) / 2), h, w]
}
