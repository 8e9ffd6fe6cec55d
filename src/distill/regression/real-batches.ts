/** @file Real images of an outer step: shuffled passes over the data set without labels, each image padded with black, cropped and perhaps mirrored by a draw of its own. */
import { type RowsAndShape, readPixels } from '../../data/pixel-rows.js'
import { fold, type Key, purpose } from '../../engine/tensor/key.js'
import { permuting, philoxBlock } from '../../engine/tensor/philox.js'
import { inTurns, Turn } from '../../event-loop.js'

/** What is done to real images. */
export interface CropRule {
  /** Black pixels around an image before a crop of its own size is taken; 0: none is. */
  readonly padding: number
  readonly flip: boolean
}

/** Number of ways to see one image: (2 padding + 1)^2 crops, mirrored or not; 162 for a padding of 4. */
export const variantCount = ({ padding, flip }: CropRule): number => (2 * padding + 1) ** 2 * (flip ? 2 : 1)

/** Rows of a step, and which variant of its image each is. */
export interface RealBatch {
  readonly rows: Int32Array
  readonly variants: Int32Array
}

/** Pixels [size, H, W, C] of `variants` of the images in `pixels`, one after the other; what the crop takes from outside is black. */
export async function cropImages(
  pixels: Uint8Array,
  [height, width, channels]: readonly [number, number, number],
  variants: Int32Array,
  { padding, flip }: CropRule,
): Promise<Uint8Array> {
  const out = new Uint8Array(pixels.length)
  const size = height * width * channels
  const reach = 2 * padding + 1
  const turn = new Turn()
  for (const [i, variant] of variants.entries()) {
    const mirrored = flip && variant % 2 === 1
    const offset = flip ? variant >> 1 : variant
    const [dy, dx] = [Math.floor(offset / reach) - padding, (offset % reach) - padding]
    const [from, to] = [Math.max(0, -dx), Math.min(width, width - dx)]
    if (from >= to) continue
    for (let y = Math.max(0, -dy); y < Math.min(height, height - dy); y++) {
      const source = i * size + (y + dy) * width * channels
      const target = i * size + y * width * channels
      if (!mirrored) {
        out.set(pixels.subarray(source + (from + dx) * channels, source + (to + dx) * channels), target + from * channels)
        continue
      }
      for (let x = from; x < to; x++)
        for (let c = 0; c < channels; c++) out[target + (width - 1 - x) * channels + c] = pixels[source + (x + dx) * channels + c]
    }
    await turn.breathe()
  }
  return out
}

/** Draws and reads the real images of any step: what a step sees follows from the seed and its number alone. */
export class RealBatches {
  readonly #dataset: RowsAndShape
  readonly #rule: CropRule
  readonly #key: Key
  readonly #size: number
  #order: { readonly pass: number; readonly rows: Promise<Int32Array> } | undefined

  constructor(dataset: RowsAndShape, { size, rule, key }: { readonly size: number; readonly rule: CropRule; readonly key: Key }) {
    this.#dataset = dataset
    this.#rule = rule
    this.#key = key
    this.#size = size
  }

  /** Step s takes places s size .. (s + 1) size - 1 of one shuffled pass after another. */
  async at(step: number): Promise<RealBatch> {
    const total = this.#dataset.shape[0]
    const rows = new Int32Array(this.#size)
    for (let i = 0; i < this.#size; ) {
      const place = step * this.#size + i
      const from = place % total
      const part = (await this.#pass(Math.floor(place / total))).subarray(from, from + this.#size - i)
      rows.set(part, i)
      i += part.length
    }
    const variants = new Int32Array(this.#size)
    const words = new Uint32Array(4)
    const count = variantCount(this.#rule)
    const key = fold(this.#key, 'real-crop')
    for (let i = 0; i < this.#size; i++) {
      if (i % 4 === 0) philoxBlock(key, i / 4, step, purpose.augment, 1, words)
      variants[i] = Math.floor((words[i % 4] * count) / 2 ** 32)
    }
    return { rows, variants }
  }

  /** Bytes [size, H, W, C] of a batch as networks and teacher are to see it. */
  async pixels({ rows, variants }: RealBatch): Promise<Uint8Array> {
    const [, height, width, channels] = this.#dataset.shape
    return cropImages(await readPixels(this.#dataset, rows), [height, width, channels], variants, this.#rule)
  }

  /** All variants of one image. */
  async variantsOf(row: number): Promise<Uint8Array> {
    const [, height, width, channels] = this.#dataset.shape
    const variants = Int32Array.from({ length: variantCount(this.#rule) }, (_, i) => i)
    const rows = new Int32Array(variants.length).fill(row)
    return cropImages(await readPixels(this.#dataset, rows), [height, width, channels], variants, this.#rule)
  }

  #pass(pass: number): Promise<Int32Array> {
    if (this.#order?.pass !== pass) this.#order = { pass, rows: shuffledRows(this.#key, pass, this.#dataset.shape[0]) }
    return this.#order.rows
  }
}

const shuffledRows = (key: Key, pass: number, rows: number): Promise<Int32Array> =>
  inTurns(permuting(fold(key, 'real-order'), pass, purpose.shuffle, rows), new Turn())

/** All rows of the data set in a shuffled order: a set of n images starts from the first n. */
export const initialOrder = (key: Key, rows: number): Promise<Int32Array> =>
  inTurns(permuting(fold(key, 'initial-images'), 0, purpose.syntheticInit, rows), new Turn())
