/** @file How pixels become a model's input: as the caller says, or as the model's metadata does. */
import { checkOptions } from '../arguments.js'
import { AludelError, expected } from '../errors.js'
import { metadataKeys } from '../export/onnx/export-network.js'
import type { OnnxFile } from './read-model.js'

/** How pixels become the model's input: (byte * scale - mean) / std, per channel. */
export interface PixelNormalization {
  /** Per channel, or one number for all (default 0). */
  readonly mean?: readonly number[]
  /** Per channel, or one number for all (default 1). */
  readonly std?: readonly number[]
  /** Default 1/255. */
  readonly scale?: number
}

interface PixelOptions {
  /** [H, W, C] */
  readonly image: readonly [number, number, number]
  /** Default: what the model's metadata says. */
  readonly normalization?: PixelNormalization
}

/** Per channel: the model sees byte * scale + shift. */
export interface PixelAffine {
  readonly scale: Float32Array
  readonly shift: Float32Array
}

/** The affine map of bytes that the options, or else the metadata, ask for. */
export function pixelAffine(path: string, { metadata }: OnnxFile, { normalization, image }: PixelOptions): PixelAffine {
  if (normalization !== undefined)
    checkOptions<PixelNormalization>(`${path}: normalization`, normalization, { mean: true, std: true, scale: true })
  const given = normalization ?? metadataNormalization(path, metadata)
  if (!given) {
    const todo = 'give mean and std of pixels in [0, 1] (--mean, --std), or what bytes are multiplied by (--scale)'
    throw new AludelError('invalid_option', `${path}: the model does not say how its input is normalised; ${todo}`)
  }
  const { mean = [0], std = [1], scale = 1 / 255 } = given
  const channels = image[2]
  const each = (name: string, list: readonly number[], least: number) => {
    const full = Array.isArray(list) && list.length === 1 ? Array<number>(channels).fill(list[0]) : list
    if (!Array.isArray(full) || full.length !== channels || !full.every((v) => Number.isFinite(v) && v > least)) {
      const wanted = `1 or ${channels} ${least === 0 ? 'numbers > 0' : 'numbers'}`
      throw expected('invalid_option', `${path}: ${name}`, wanted, list)
    }
    return full
  }
  if (!Number.isFinite(scale) || scale <= 0) throw expected('invalid_option', `${path}: scale`, 'a number > 0', scale)
  const [means, deviations] = [each('mean', mean, Number.NEGATIVE_INFINITY), each('std', std, 0)]
  return {
    scale: Float32Array.from(deviations, (s) => scale / s),
    shift: Float32Array.from(means, (m, c) => -m / deviations[c]),
  }
}

function metadataNormalization(path: string, metadata: OnnxFile['metadata']): PixelNormalization | undefined {
  const [mean, std] = [metadataList(path, metadata, metadataKeys.mean), metadataList(path, metadata, metadataKeys.std)]
  return mean && std && { mean: mean.map(Number), std: std.map(Number) }
}

/** A JSON list of the model's metadata; undefined without one. Throws `invalid_data` for anything else. */
export function metadataList(path: string, metadata: OnnxFile['metadata'], key: string): readonly unknown[] | undefined {
  if (!Object.hasOwn(metadata, key)) return undefined
  try {
    const list: unknown = JSON.parse(metadata[key])
    if (Array.isArray(list)) return list
  } catch {
    // the same complaint
  }
  throw expected('invalid_data', `${path}: metadata '${key}'`, 'a JSON list', metadata[key])
}
