/** @file A teacher's representations of real images: asked for batch by batch, or kept for every image and crop once it has answered. */
import { unitPixels } from '../../data/unit-pixels.js'
import { inPieces, Turn } from '../../event-loop.js'
import { encodeChecked } from '../../teachers/encode-checked.js'
import type { Teacher } from '../../teachers/teacher.js'
import type { RealBatch, RealBatches } from './real-batches.js'

/** A table is kept where it takes at most this many bytes and the run asks for every entry so often on average. */
const mostTableBytes = 4 * 2 ** 30
const leastVisits = 2

/** Bytes of a table of `variants` representations for each of `images` images. */
export const tableBytes = (images: number, variants: number, dim: number): number =>
  images * variants * dim * Float32Array.BYTES_PER_ELEMENT

/** Whether a table pays and is small enough: a function of the settings alone, since the bits of the answers depend on it. */
export const tablePays = (sizes: { images: number; variants: number; dim: number; asked: number }): boolean =>
  sizes.asked >= leastVisits * sizes.images * sizes.variants && tableBytes(sizes.images, sizes.variants, sizes.dim) <= mostTableBytes

export interface TargetsOptions {
  readonly teacher: Teacher
  readonly batches: RealBatches
  /** All that the teacher's answers are multiplied by. */
  readonly scale: number
  /** Variants of an image where all are kept; absent where none are. */
  readonly table?: { readonly variants: number }
}

/** Targets [size, dim] of real batches. */
export class TeacherTargets {
  readonly #options: TargetsOptions
  /** Of every image that was met: representations of all its variants, asked for together, so that they do not depend on who asks. */
  readonly #table = new Map<number, Promise<Float32Array>>()

  constructor(options: TargetsOptions) {
    this.#options = options
  }

  /** Targets of a batch whose pixels are `bytes`. */
  async of(batch: RealBatch, bytes: Uint8Array, signal?: AbortSignal): Promise<Float32Array> {
    const { teacher, table, scale } = this.#options
    if (table) return this.#fromTable(batch, signal)
    return scaled(await encodeChecked(teacher, await unitPixels(bytes), batch.rows.length, signal), scale)
  }

  async #fromTable({ rows, variants }: RealBatch, signal?: AbortSignal): Promise<Float32Array> {
    const { teacher, scale } = this.#options
    const { dim } = teacher
    const targets = new Float32Array(rows.length * dim)
    for (const [i, row] of rows.entries()) {
      const known = await (this.#table.get(row) ?? this.#fill(row, signal))
      targets.set(known.subarray(variants[i] * dim, (variants[i] + 1) * dim), i * dim)
    }
    return scaled(targets, scale)
  }

  /** Batches are made ready beside each other: an image that two of them meet is asked for once. */
  #fill(row: number, signal?: AbortSignal): Promise<Float32Array> {
    const answers = this.#ask(row, signal)
    this.#table.set(row, answers)
    answers.catch(() => this.#table.delete(row))
    return answers
  }

  async #ask(row: number, signal?: AbortSignal): Promise<Float32Array> {
    const { teacher, batches } = this.#options
    const bytes = await batches.variantsOf(row)
    const { variants } = this.#options.table as { variants: number }
    return encodeChecked(teacher, await unitPixels(bytes), variants, signal)
  }
}

/** All values times `scale`; the array itself for 1. */
export async function scaled(values: Float32Array, scale: number): Promise<Float32Array> {
  if (scale === 1) return values
  const products = new Float32Array(values.length)
  await inPieces(values.length, new Turn(), (from, to) => {
    for (let i = from; i < to; i++) products[i] = values[i] * scale
  })
  return products
}
