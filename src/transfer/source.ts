/** @file What networks are pretrained on: the distilled set, and what it must be held against. */
import { isRecord } from '../arguments.js'
import type { Dataset } from '../data/dataset.js'
import { unitPixels } from '../data/unit-pixels.js'
import type { Device } from '../engine/runtime/device.js'
import { fold, type Key, purpose } from '../engine/tensor/key.js'
import { permuting } from '../engine/tensor/philox.js'
import { AludelError, expected } from '../errors.js'
import { inTurns, Turn } from '../event-loop.js'
import type { RepresentationSetFields } from '../experiment/representation-set.js'
import { encodeChecked } from '../teachers/encode-checked.js'
import { medoids } from './medoids.js'
import type { ImageRows } from './rows.js'

export const transferSources = ['distilled', 'none', 'random', 'kmeans', 'full'] as const
/**
 * 'none' is a fresh network. The others are trained towards the teacher's representations: 'random' real images, as many as the set has;
 * the one nearest to each centre of k-means over all representations; all real images.
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

/** What transfer reads of a set; where it says what it was made from, the baselines must be of the same. */
export type TransferSet = Pick<RepresentationSetFields, 'images' | 'shape' | 'targets' | 'dim' | 'mean' | 'std' | 'initSpace'> & {
  readonly teacher?: Pick<RepresentationSetFields['teacher'], 'name' | 'sha256'>
  readonly source?: Pick<RepresentationSetFields['source'], 'name' | 'sha256'>
  readonly config?: RepresentationSetFields['config']
}

/** Throws `invalid_data` for what is no set of representations. */
export function checkSet(set: TransferSet): void {
  const { images, targets, shape, mean, std, dim } = isRecord(set) ? set : ({} as Partial<TransferSet>)
  const lists = [shape, mean, std].every(Array.isArray) && shape?.length === 4
  if (images instanceof Float32Array && targets instanceof Float32Array && lists && targets.length === Number(shape[0]) * Number(dim))
    return
  throw expected('invalid_data', 'transfer: set', 'what distillRepresentations makes, or loadRepresentationSet reads', set)
}

/** Needs the real images and the teacher. */
export const needsReal = (source: TransferSource): boolean => source !== 'distilled' && source !== 'none'

/** Throws `invalid_data` unless the real images and the teacher are made for what the set is. */
export function checkReal(set: TransferSet, data: Dataset, teacher: TransferTeacher): void {
  const { shape, dim } = set
  // the bytes of a streamed set are not here: better said now than after hours
  if (data.pixels) void data.images
  const image = shape.slice(1).join(', ')
  if (data.shape.slice(1).join(', ') !== image)
    throw expected('invalid_data', 'real images', `[${image}] as in the set`, data.shape.slice(1))
  if (teacher.input.shape.join(', ') !== image)
    throw expected('invalid_data', `teacher '${teacher.name}'`, `images [${image}]`, teacher.input.shape)
  if (teacher.dim !== dim)
    throw expected('invalid_data', `teacher '${teacher.name}'`, `${dim} dimensions as the set's targets`, teacher.dim)
}

/** Throws `invalid_data` where the baselines could not have as many images as the set. */
export function checkCount({ shape }: TransferSet, data: Dataset): void {
  if (data.shape[0] < shape[0]) throw expected('invalid_data', 'real images', `at least ${shape[0]}, as many as the set has`, data.shape[0])
}

/** Throws `incompatible` for another teacher than the set says that it was made with. */
export function checkTeacherIdentity({ teacher: own }: TransferSet, teacher: TransferTeacher): void {
  if (own === undefined || teacher.sha256 === own.sha256) return
  const wanted = `${own.sha256}, that of the set's teacher '${own.name}',`
  const todo = 'give the teacher that the set was made with'
  throw expected('incompatible', `teacher '${teacher.name}': sha256`, wanted, teacher.sha256, todo)
}

/** Throws `incompatible` where the set says that it was made from others: baselines of these would say nothing of it. */
export function checkIdentity(set: TransferSet, data: Dataset, teacher: TransferTeacher): void {
  checkTeacherIdentity(set, teacher)
  const { source, config } = set
  const whole = data.part?.of ?? data.sha256
  if (source && whole !== source.sha256)
    throw expected(
      'incompatible',
      `real images '${data.name}': sha256`,
      `${source.sha256}, that of the set's data '${source.name}',`,
      whole,
      'give the data that the set was made from',
    )
  const subset = config?.subsetSha256
  if (source && config && subset !== data.part?.subset) {
    const wanted = subset === undefined ? 'all images, as the set was made from,' : `the subset ${subset} that the set was made from`
    throw expected(
      'incompatible',
      `real images '${data.name}'`,
      wanted,
      data.part?.subset ?? 'all images',
      'give the same --subset, or none',
    )
  }
}

/** Pretraining rows of any source; representations of all real images are computed once. */
export class PretrainingSources {
  readonly #device: Device
  readonly #set: TransferSet
  readonly #real: { readonly data: Dataset; readonly teacher: TransferTeacher } | undefined
  readonly #signal: AbortSignal | undefined
  #table: Promise<Float32Array> | undefined
  /** Hears of real images that the teacher has answered for. */
  onEncoded: ((images: number, total: number) => void) | undefined

  constructor(
    device: Device,
    set: TransferSet,
    real: { readonly data: Dataset; readonly teacher: TransferTeacher } | undefined,
    signal: AbortSignal | undefined,
  ) {
    this.#device = device
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
      const order = await inTurns(permuting(fold(key, 'random-real'), 0, purpose.realBatch, data.shape[0]), new Turn())
      return this.#of(data.subset(order.slice(0, n).sort()))
    }
    this.#table ??= this.#encode(data)
    const table = await this.#table
    if (source === 'full') return { rows: this.#seen(data), targets: table }
    const matrix = { data: table, shape: [data.shape[0], this.#set.dim] as const }
    const chosen = await medoids(this.#device, matrix, n, { key: fold(key, 'k-means'), signal: this.#signal })
    return { rows: this.#seen(data.subset(chosen)), targets: rowsOf(table, this.#set.dim, chosen) }
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
    for (let first = 0; first < shape[0]; first += encodeRows) {
      const count = Math.min(encodeRows, shape[0] - first)
      const pixels = await unitPixels(images.subarray(first * size, (first + count) * size))
      out.set(await encodeChecked(teacher, pixels, count, this.#signal), first * teacher.dim)
      this.onEncoded?.(first + count, shape[0])
    }
    return out
  }
}

const encodeRows = 128

function rowsOf(table: Float32Array, width: number, rows: Int32Array): Float32Array {
  const out = new Float32Array(rows.length * width)
  for (const [i, row] of rows.entries()) out.set(table.subarray(row * width, (row + 1) * width), i * width)
  return out
}
