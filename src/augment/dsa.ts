/** @file Differentiable siamese augmentation: draws rows of theta for the `augment` op (DSA, 2102.08259; parameters of the released code). */

import { type Key, philoxBlock } from '../engine/tensor/philox.js'
import { expected } from '../errors.js'

/** Numbers in one theta row: kind, then seven parameters (see the augment op). */
export const thetaSize = 8

export const dsaOperations = ['color', 'crop', 'cutout', 'flip', 'scale', 'rotate'] as const
export type DsaOperation = (typeof dsaOperations)[number]

const kind = { identity: 0, color: 1, crop: 2, cutout: 3, flip: 4, affine: 5 }

/** Strengths of the released code. */
const strength = { brightness: 1, saturation: 2, contrast: 0.5, crop: 0.125, cutout: 0.5, scale: 1.2, rotate: 15, flip: 0.5 }

export interface AugmentPolicy {
  /** Operations drawn from, uniformly; empty = no augmentation. */
  readonly operations: readonly DsaOperation[]
  /** Default 'dsa'; 'frepo': those of FRePo's evaluation. */
  readonly strengths?: 'dsa' | 'frepo'
}

/**
 * 'none', 'dsa' (all six operations; flip only where a mirrored image keeps its class), 'frepo' (the same at the strengths of FRePo's
 * evaluation), or names joined by '_' such as 'color_crop_flip'.
 * Throws `invalid_option` naming the unknown operation.
 */
export function parseAugment(text: string, flipKeepsClass: boolean): AugmentPolicy {
  const wanted = `'none', 'dsa', 'frepo' or names of ${dsaOperations.join(', ')} joined by '_'`
  if (typeof text !== 'string') throw expected('invalid_option', 'augment', wanted, text)
  if (text === 'none') return { operations: [] }
  const all = dsaOperations.filter((op) => flipKeepsClass || op !== 'flip')
  if (text === 'dsa') return { operations: all }
  if (text === 'frepo') return { operations: all, strengths: 'frepo' }
  const operations = text.split('_')
  const unknown = operations.find((op) => !(dsaOperations as readonly string[]).includes(op))
  if (unknown !== undefined) throw expected('invalid_option', 'augment', wanted, text)
  return { operations: operations as DsaOperation[] }
}

/** Where a draw comes from: every (seed key, purpose, step, index) has its own Philox block. */
export interface DrawAddress {
  readonly key: Key
  readonly purpose: number
  readonly step: number
}

/** Four uniforms in [0, 1) of one block. */
function uniforms({ key, step, purpose }: DrawAddress, index: number): number[] {
  const words = new Uint32Array(4)
  philoxBlock(key, index, step, purpose, 0, words)
  return Array.from(words, (word) => (word >>> 8) * 2 ** -24)
}

/** One siamese draw: the theta row that all images of class `index`, real and synthetic, share at this step. */
export function drawRow(policy: AugmentPolicy, address: DrawAddress, index: number, height: number, width: number): Float32Array {
  if (policy.operations.length === 0) return new Float32Array(thetaSize)
  const [pick, ...u] = uniforms(address, index)
  return drawn(policy, pick, u, height, width)
}

/** One operation for the whole batch, parameters per image (evaluation and inner training). Returns [rows, 8]. */
export function drawBatch(policy: AugmentPolicy, address: DrawAddress, rows: number, height: number, width: number): Float32Array {
  const theta = new Float32Array(rows * thetaSize)
  if (policy.operations.length === 0) return theta
  const [pick] = uniforms(address, 0)
  for (let r = 0; r < rows; r++) theta.set(drawn(policy, pick, uniforms(address, r + 1), height, width), r * thetaSize)
  return theta
}

function drawn({ operations, strengths }: AugmentPolicy, pick: number, u: readonly number[], height: number, width: number): Float32Array {
  const operation = operations[Math.floor(pick * operations.length)]
  return strengths === 'frepo' ? frepoParameters(operation, u, height, width) : parameters(operation, u, height, width)
}

/** Strengths of FRePo's evaluation (2206.00719): its `crop` is a zoom, here 'scale', and its `translate` is no whole number of pixels, here 'crop'. */
const frepoStrength = { jitter: 0.25, zoom: [0.8, 1.25], translate: 0.125, cutout: 0.25 } as const

/** As `parameters`, in FRePo's distributions; flip and rotation are those of DSA. */
function frepoParameters(operation: DsaOperation, u: readonly number[], height: number, width: number): Float32Array {
  const row = new Float32Array(thetaSize)
  const { jitter, zoom, translate, cutout } = frepoStrength
  const around = (v: number) => 2 * v - 1
  switch (operation) {
    case 'color':
      row.set([kind.color, around(u[0]) * jitter, Math.exp(around(u[1]) * jitter), Math.exp(around(u[2]) * jitter)])
      return row
    case 'crop':
      // an affine map counts from -1 to 1: a share of the side is twice as much
      row.set([kind.affine, 1, 0, around(u[0]) * 2 * translate, 0, 1, around(u[1]) * 2 * translate])
      return row
    case 'cutout': {
      const [rows, columns] = [Math.floor(height * cutout), Math.floor(width * cutout)]
      row.set([kind.cutout, Math.floor(u[0] * (height - rows + 1)), Math.floor(u[1] * (width - columns + 1)), rows, columns])
      return row
    }
    case 'scale': {
      const ratio = zoom[0] * (zoom[1] / zoom[0]) ** u[0]
      // the window of 1 / ratio of the side lies anywhere within the image, or the image anywhere within it
      const room = 1 - 1 / ratio
      row.set([kind.affine, 1 / ratio, 0, around(u[1]) * room, 0, 1 / ratio, around(u[2]) * room])
      return row
    }
    default:
      return parameters(operation, u, height, width)
  }
}

/** Theta of one operation from three uniforms (specification: feature and gradient matching, DSA transforms). */
function parameters(operation: DsaOperation, u: readonly number[], height: number, width: number): Float32Array {
  const row = new Float32Array(thetaSize)
  switch (operation) {
    case 'color':
      row.set([kind.color, (u[0] - 0.5) * strength.brightness, u[1] * strength.saturation, u[2] + strength.contrast])
      break
    case 'crop':
      row.set([kind.crop, shift(u[0], height), shift(u[1], width)])
      break
    case 'cutout': {
      const [rows, columns] = [Math.floor(strength.cutout * height + 0.5), Math.floor(strength.cutout * width + 0.5)]
      const centre = (v: number, size: number, hole: number) => Math.floor(v * (size + 1 - (hole % 2))) - (hole >> 1)
      row.set([kind.cutout, centre(u[0], height, rows), centre(u[1], width, columns), rows, columns])
      break
    }
    case 'flip':
      row.set([kind.flip, u[0] < strength.flip ? 1 : 0])
      break
    case 'scale': {
      const ratio = (v: number) => v * (strength.scale - 1 / strength.scale) + 1 / strength.scale
      row.set([kind.affine, ratio(u[0]), 0, 0, 0, ratio(u[1]), 0])
      break
    }
    case 'rotate': {
      const angle = ((u[0] - 0.5) * 2 * strength.rotate * Math.PI) / 180
      row.set([kind.affine, Math.cos(angle), -Math.sin(angle), 0, Math.sin(angle), Math.cos(angle), 0])
      break
    }
    default:
      operation satisfies never
  }
  return row
}

/** Whole pixels in -r..r with r = floor(0.125 size + 0.5). */
function shift(u: number, size: number): number {
  const reach = Math.floor(strength.crop * size + 0.5)
  return Math.floor(u * (2 * reach + 1)) - reach
}
