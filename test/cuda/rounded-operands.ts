/** @file What each precision of products makes of their operands, in JavaScript. */
import type { Opcode } from '../../src/engine/index.js'

const word = new Uint32Array(1)
const asFloat = new Float32Array(word.buffer)

/** To a float32 without its lowest `bits`: to nearest, ties away from zero or to even. */
function shorten(value: number, bits: number, ties: 'away' | 'even'): number {
  asFloat[0] = value
  const half = 2 ** (bits - 1)
  const up = ties === 'away' || (word[0] >>> bits) % 2 === 1 ? half : half - 1
  word[0] = ((word[0] + up) >>> bits) << bits
  return asFloat[0]
}

export const roundedBy = {
  f32: (v: number) => v,
  tf32x3: (v: number) => v,
  tf32: (v: number) => shorten(v, 13, 'away'),
  bf16: (v: number) => shorten(v, 16, 'even'),
} as const

/** The bias is added, and its gradient summed, in float32: this operand of conv2d, this result of its weight gradient. */
export const isBias = (op: Opcode, index: number): boolean =>
  op === 'conv2d' ? index === 2 : op.startsWith('conv2d_weight_grad') && index === 1
