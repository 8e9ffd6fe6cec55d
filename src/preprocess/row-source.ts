/** @file Real images as the rows that programs draw from: bytes that are normalised when they are gathered, or whitened float32 pixels. */
import type { Dataset } from '../data/dataset.js'
import { type ChannelStatistics, normalizeImages, scaleShift } from '../data/normalize.js'
import type { NamedInput } from '../engine/bound-program.js'
import { gather, imageGather, type Value } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'

export interface RowSource {
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

/** All images as networks see them, float32 NHWC. */
export const networkPixels = (dataset: Dataset): Float32Array => dataset.whitened?.pixels ?? normalizeImages(dataset.images, dataset)
