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
}

/**
 * 'none', 'dsa' (all six operations; flip only where a mirrored image keeps its class), or names joined by '_' such as 'color_crop_flip'.
 * Throws `invalid_option` naming the unknown operation.
 */
export function parseAugment(text: string, flipKeepsClass: boolean): AugmentPolicy {
  const wanted = `'none', 'dsa' or names of ${dsaOperations.join(', ')} joined by '_'`
  if (typeof text !== 'string') throw expected('invalid_option', 'augment', wanted, text)
  if (text === 'none') return { operations: [] }
  if (text === 'dsa') return { operations: dsaOperations.filter((op) => flipKeepsClass || op !== 'flip') }
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
  return parameters(policy.operations[Math.floor(pick * policy.operations.length)], u, height, width)
}

/** One operation for the whole batch, parameters per image (evaluation and inner training). Returns [rows, 8]. */
export function drawBatch(policy: AugmentPolicy, address: DrawAddress, rows: number, height: number, width: number): Float32Array {
  const theta = new Float32Array(rows * thetaSize)
  if (policy.operations.length === 0) return theta
  const operation = policy.operations[Math.floor(uniforms(address, 0)[0] * policy.operations.length)]
  for (let r = 0; r < rows; r++) theta.set(parameters(operation, uniforms(address, r + 1), height, width), r * thetaSize)
  return theta
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
