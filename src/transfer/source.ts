/** @file What networks are pretrained on: the distilled set, and what it must be held against. */
import type { Dataset } from '../data/dataset.js'
import { fold, type Key, purpose } from '../engine/tensor/key.js'
import { permutation } from '../engine/tensor/philox.js'
import { AludelError, expected } from '../errors.js'
import { Turn } from '../event-loop.js'
import type { RepresentationSetFields } from '../experiment/representation-set.js'
import { kMeans } from '../scores/k-means.js'
import type { ImageRows } from './rows.js'

export const transferSources = ['distilled', 'none', 'random', 'kmeans', 'full'] as const
/**
 * 'none' is a fresh network. The others are trained towards the teacher's representations: 'random' real images, as many as the set has;
 * those nearest to k-means centres of all representations; all real images.
 */
export type TransferSource = (typeof transferSources)[number]

/** What gives real images their targets: a frozen encoder of raw pixels in [0, 1], NHWC f32, to [rows, dim]. */
export interface TransferTeacher {
  readonly name: string
  readonly dim: number
  readonly sha256: string
  /** Of an ONNX model: which of its outputs it is. */
  readonly output?: string
  readonly input: { readonly shape: readonly [number, number, number]; readonly mean?: readonly number[]; readonly std?: readonly number[] }
  encode(pixels: Float32Array, rows: number, signal?: AbortSignal): Promise<Float32Array>
}

/** Images and the representations that they are trained towards. */
export interface PretrainingRows {
  readonly rows: ImageRows
  readonly targets: Float32Array
}

type Set = Pick<RepresentationSetFields, 'images' | 'shape' | 'targets' | 'dim' | 'mean' | 'std' | 'initSpace'>

/** Needs the real images and the teacher. */
export const needsReal = (source: TransferSource): boolean => source !== 'distilled' && source !== 'none'

/** Throws `invalid_data` unless the real images and the teacher are made for what the set is. */
export function checkReal({ shape, dim }: Set, data: Dataset, teacher: TransferTeacher): void {
  // the bytes of a streamed set are not here: better said now than after hours
  if (data.pixels) void data.images
  const image = shape.slice(1).join(', ')
  if (data.shape.slice(1).join(', ') !== image)
    throw expected('invalid_data', 'real images', `[${image}] as in the set`, data.shape.slice(1))
  if (teacher.input.shape.join(', ') !== image)
    throw expected('invalid_data', `teacher '${teacher.name}'`, `images [${image}]`, teacher.input.shape)
  if (teacher.dim !== dim)
    throw expected('invalid_data', `teacher '${teacher.name}'`, `${dim} dimensions as the set's targets`, teacher.dim)
  if (data.shape[0] < shape[0]) throw expected('invalid_data', 'real images', `at least ${shape[0]}, as many as the set has`, data.shape[0])
}

/** Pretraining rows of any source; representations of all real images are computed once. */
export class PretrainingSources {
  readonly #set: Set
  readonly #real: { readonly data: Dataset; readonly teacher: TransferTeacher } | undefined
  readonly #signal: AbortSignal | undefined
  #table: Promise<Float32Array> | undefined
  /** Hears of real images that the teacher has answered for. */
  onEncoded: ((images: number, total: number) => void) | undefined

  constructor(set: Set, real: { readonly data: Dataset; readonly teacher: TransferTeacher } | undefined, signal: AbortSignal | undefined) {
    this.#set = set
    this.#real = real
    this.#signal = signal
  }

  /** For the repetition whose draws follow from `key`. */
  async rows(source: Exclude<TransferSource, 'none'>, key: Key): Promise<PretrainingRows> {
    const { images, shape, targets } = this.#set
    if (source === 'distilled') return { rows: { pixels: images, shape, mean: [], std: [] }, targets }
    if (!this.#real)
      throw new AludelError('invalid_option', `transfer: '${source}' needs the real images and the teacher; give data and teacher`)
    const { data } = this.#real
    const n = shape[0]
    if (source === 'random') {
      const rows = permutation(fold(key, 'random-real'), 0, purpose.realBatch, data.shape[0]).slice(0, n).sort()
      return this.#of(data.subset(rows))
    }
    this.#table ??= this.#encode(data)
    const table = await this.#table
    if (source === 'full') return { rows: this.#seen(data), targets: table }
    const chosen = await nearestToCentres(table, this.#set.dim, n, key)
    return { rows: this.#seen(data.subset(chosen)), targets: takeRows(table, this.#set.dim, chosen) }
  }

  async #of(part: Dataset): Promise<PretrainingRows> {
    return { rows: this.#seen(part), targets: await this.#encode(part) }
  }

  /** Real images stand in the space of the set's own. */
  #seen({ images, shape }: Dataset): ImageRows {
    const { initSpace, mean, std } = this.#set
    const raw = { mean: mean.map(() => 0), std: std.map(() => 1) }
    return { pixels: images, shape, ...(initSpace === 'raw' ? raw : { mean, std }) }
  }

  async #encode({ images, shape }: Dataset): Promise<Float32Array> {
    const { teacher } = this.#real as { teacher: TransferTeacher }
    const size = shape[1] * shape[2] * shape[3]
    const out = new Float32Array(shape[0] * teacher.dim)
    const turn = new Turn()
    for (let first = 0; first < shape[0]; first += encodeRows) {
      const count = Math.min(encodeRows, shape[0] - first)
      const pixels = Float32Array.from(images.subarray(first * size, (first + count) * size), (byte) => byte / 255)
      out.set(await teacher.encode(pixels, count, this.#signal), first * teacher.dim)
      this.onEncoded?.(first + count, shape[0])
      await turn.breathe()
    }
    return out
  }
}

const encodeRows = 128

function takeRows(table: Float32Array, width: number, rows: Int32Array): Float32Array {
  const out = new Float32Array(rows.length * width)
  for (const [i, row] of rows.entries()) out.set(table.subarray(row * width, (row + 1) * width), i * width)
  return out
}

/** The row nearest to each of n centres, each row once, ascending. */
async function nearestToCentres(table: Float32Array, width: number, n: number, key: Key): Promise<Int32Array> {
  const count = table.length / width
  const { centroids } = await kMeans({ data: table, shape: [count, width] }, n, { seed: key[0], maxIterations: 20 })
  const taken = new Set<number>()
  const turn = new Turn()
  for (let centre = 0; centre < n; centre++) {
    let [best, least] = [-1, Number.POSITIVE_INFINITY]
    for (let row = 0; row < count; row++) {
      if (taken.has(row)) continue
      let distance = 0
      for (let i = 0; i < width && distance < least; i++) distance += (table[row * width + i] - centroids.data[centre * width + i]) ** 2
      if (distance < least) [best, least] = [row, distance]
      if (row % 512 === 511) await turn.breathe()
    }
    taken.add(best)
  }
  return Int32Array.from(taken).sort()
}
