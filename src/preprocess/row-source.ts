/** @file Real images as the rows that programs draw from: bytes that are normalised when they are gathered, or whitened float32 pixels. */
import type { Dataset } from '../data/dataset.js'
import { type ChannelStatistics, normalizeImages, scaleShift } from '../data/normalize.js'
import { readPixels } from '../data/pixel-rows.js'
import type { NamedInput } from '../engine/bound-program.js'
import { gather, imageGather, type Value } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { Turn } from '../event-loop.js'

export interface RowSource {
  /** Whether the rows of a replay are given side by side, so that the index into them is the same in every replay. */
  readonly gathered?: boolean
  /** The program's inputs by name. */
  readonly inputs: Readonly<Record<string, NamedInput>>
  /** Their arrays, made by `make`. */
  arrays(make: Device['array']): Record<string, DeviceArray>
  /** Rows `index`, i32 [n], as f32 [n, H, W, C]; `values` are the program's inputs. */
  gather(values: Readonly<Record<string, Value>>, index: Value): Value
}

/** `statistics` normalise the bytes; default those of the data set. Whitened pixels are taken as they are. */
export function rowSource(dataset: Dataset, statistics: ChannelStatistics = dataset): RowSource {
  const { shape, images, whitened } = dataset
  if (whitened) {
    return {
      inputs: { data: { shape } },
      arrays: (make) => ({ data: make('f32', shape, whitened.pixels) }),
      gather: (values, index) => gather(values.data, index),
    }
  }
  const channels = [shape[3]]
  return {
    inputs: { data: { shape, dtype: 'u8' }, scale: { shape: channels }, shift: { shape: channels } },
    arrays(make) {
      const { scale, shift } = scaleShift(statistics)
      return { data: make('u8', shape, images), scale: make('f32', channels, scale), shift: make('f32', channels, shift) }
    },
    gather: (values, index) => imageGather(values.data, index, values.scale, values.shift),
  }
}

/** Slots that rows which are read while others are computed on lie in. */
export const ringSlots = 2

/** As `rowSource`, for rows that are not in memory: each replay finds its own `count` rows in slot (replay mod `ringSlots`). */
export function ringSource(dataset: Dataset, count: number): RowSource {
  const { shape } = dataset
  const channels = [shape[3]]
  const rows = [count, ...shape.slice(1)]
  return {
    gathered: true,
    inputs: {
      data: { shape: rows, dtype: 'u8', slots: { count: ringSlots } },
      scale: { shape: channels },
      shift: { shape: channels },
    },
    arrays(make) {
      const { scale, shift } = scaleShift(dataset)
      return { data: make('u8', [ringSlots, ...rows]), scale: make('f32', channels, scale), shift: make('f32', channels, shift) }
    },
    gather: (values, index) => imageGather(values.data, index, values.scale, values.shift),
  }
}

const pieceBytes = 1 << 20

/**
 * Starts writing `bytes` into a u8 array from element `first` on, a piece at a time: each is copied when it is written, and others have their
 * turn in between. The promises are those of the pieces.
 */
export async function writePixels(array: DeviceArray, first: number, bytes: Uint8Array): Promise<Promise<void>[]> {
  const turn = new Turn()
  const written: Promise<void>[] = []
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    await turn.breathe()
    const piece = array.writeAt(first + at, bytes.subarray(at, at + pieceBytes))
    // one that fails before the others are on their way is heard with them
    piece.catch(() => undefined)
    written.push(piece)
  }
  return written
}

/** All images as networks see them, float32 NHWC. */
export const networkPixels = (dataset: Dataset): Float32Array => dataset.whitened?.pixels ?? normalizeImages(dataset.images, dataset)

/** The given rows as networks see them, wherever they are. */
export async function networkRows(dataset: Dataset, rows: Int32Array): Promise<Float32Array> {
  if (dataset.whitened) return networkPixels(dataset.subset(rows))
  return normalizeImages(await readPixels(dataset, rows), dataset)
}
