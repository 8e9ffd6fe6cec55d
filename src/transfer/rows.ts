/** @file Images as transfer trains on them: bytes that the device normalises, or numbers that are what networks see. */
import { scaleShift } from '../data/normalize.js'
import type { NamedInput } from '../engine/bound-program.js'
import { add, augment, gather, imageGather, mul, reshape, type Value } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import type { Key } from '../engine/tensor/key.js'
import { purpose } from '../engine/tensor/key.js'
import { philoxBlock } from '../engine/tensor/philox.js'

export interface ImageRows {
  /** NHWC: bytes, which networks see as (pixel / 255 - mean) / std, or float32 as they are. */
  readonly pixels: Uint8Array | Float32Array
  readonly shape: readonly [number, number, number, number]
  readonly mean: readonly number[]
  readonly std: readonly number[]
}

/** Black pixels around an image before a crop of its own size is taken, and whether it is mirrored half of the times. */
export interface CropRule {
  readonly padding: number
  readonly flip: boolean
}

/** Numbers in a row of the augment op's theta, and the kinds that are used here. */
const thetaSize = 8
const kind = { crop: 2, flip: 4 } as const

/** Inputs of a program that reads `rows`; `count` rows a replay are cropped and mirrored where there is a rule. */
export function rowInputs(
  { pixels, shape }: ImageRows,
  rule?: { readonly count: number; readonly slots: number },
): Record<string, NamedInput> {
  const bytes = pixels instanceof Uint8Array
  const theta: NamedInput | undefined = rule && { shape: [rule.count, thetaSize], slots: { count: rule.slots } }
  return {
    images: { shape, dtype: bytes ? 'u8' : 'f32' },
    ...(bytes && { scale: { shape: [shape[3]] }, shift: { shape: [shape[3]] }, unit: { shape: [shape[3]] }, zero: { shape: [shape[3]] } }),
    ...(theta && { crop: theta, flip: theta }),
  }
}

/** Arrays of those inputs but crop and flip. */
export function rowArrays(device: Device, rows: ImageRows, own: (array: DeviceArray) => DeviceArray): Record<string, DeviceArray> {
  const { pixels, shape } = rows
  const images = own(device.array(pixels instanceof Uint8Array ? 'u8' : 'f32', shape, pixels))
  if (!(pixels instanceof Uint8Array)) return { images }
  const channels = shape[3]
  const vector = (data: Float32Array) => own(device.array('f32', [channels], data))
  const { scale, shift } = scaleShift(rows)
  // imageGather scales bytes: in [0, 1] first, since the border of a crop is black before the normalisation
  const byte = 1 / 255
  return {
    images,
    scale: vector(scale.map((v) => v / byte)),
    shift: vector(shift),
    unit: vector(new Float32Array(channels).fill(byte)),
    zero: vector(new Float32Array(channels)),
  }
}

/** Rows `index` as networks see them, [n, H, W, C]. */
export function gatherRows({ pixels, shape }: ImageRows, v: Readonly<Record<string, Value>>, index: Value): Value {
  const raw = pixels instanceof Uint8Array ? imageGather(v.images, index, v.unit, v.zero) : gather(v.images, index)
  const seen = v.crop === undefined ? raw : augment(augment(raw, v.crop), v.flip)
  if (!(pixels instanceof Uint8Array)) return seen
  const channels = [1, 1, 1, shape[3]]
  return add(mul(seen, reshape(v.scale, channels)), reshape(v.shift, channels))
}

/** Crop and flip of `count` images at `step`: whole-pixel offsets in -padding..padding and a coin each. */
export function drawCrops(key: Key, step: number, count: number, { padding, flip }: CropRule): { crop: Float32Array; flip: Float32Array } {
  const out = { crop: new Float32Array(count * thetaSize), flip: new Float32Array(count * thetaSize) }
  const words = new Uint32Array(4)
  const reach = 2 * padding + 1
  for (let i = 0; i < count; i++) {
    philoxBlock(key, i, step, purpose.augment, 2, words)
    const offset = (word: number) => Math.floor((word * reach) / 2 ** 32) - padding
    out.crop.set([kind.crop, offset(words[0]), offset(words[1])], i * thetaSize)
    out.flip.set([kind.flip, flip && words[2] >= 2 ** 31 ? 1 : 0], i * thetaSize)
  }
  return out
}
