/**
 * @file Which parameters the matching loss counts (PAD 2408.03360, "filter information embedding"): all, those behind a depth of the flat
 * order, or those whose squared difference is not among the smallest.
 */

import { expected } from '../../errors.js'
import { inPieces, Turn } from '../../event-loop.js'
import type { Network } from '../../nn/module.js'
import { FlatOrder } from './flat-order.js'

export type MaskRule = { readonly kind: 'none' } | { readonly kind: 'depth' | 'loss'; readonly share: number }

export const maskWanted = "'none', 'depth:A' or 'loss:A' with a share A of the parameters in [0, 1) that is left out"

/** The rule of a text such as 'depth:0.25'; undefined when it is none. */
export function parseMask(text: unknown): MaskRule | undefined {
  if (text === 'none') return { kind: 'none' }
  const [, kind, digits] = (typeof text === 'string' && /^(depth|loss):(\d*\.?\d+)$/.exec(text)) || []
  const share = Number(digits)
  return kind !== undefined && share < 1 ? { kind: kind as 'depth' | 'loss', share } : undefined
}

/** Parameters left out, int(P A). Throws `invalid_option` where that would be all of them. */
export function droppedCount(parameters: number, share: number): number {
  const dropped = Math.trunc(parameters * share)
  if (dropped < parameters) return dropped
  throw expected('invalid_option', 'mask', `one that keeps some of ${parameters} parameters`, share)
}

/** By tensor: whether all or none of its elements are kept, or 1 at those that are and 0 at others. */
export type KeptElements = Readonly<Record<string, 'all' | 'none' | Float32Array>>

/** Keeps what stands at `dropped` or later in the flat order, the shallow layers first: the cut may fall inside a tensor. */
export function depthMask(network: Network, dropped: number): KeptElements {
  const { places } = new FlatOrder(network)
  const kept = (own: Int32Array): 'all' | 'none' | Float32Array => {
    const mask = Float32Array.from(own, (place) => (place >= dropped ? 1 : 0))
    const count = mask.reduce((a, b) => a + b, 0)
    if (count === mask.length) return 'all'
    return count === 0 ? 'none' : mask
  }
  return Object.fromEntries(Object.entries(places).map(([name, own]) => [name, kept(own)]))
}

/**
 * Drops the `dropped` smallest squared differences of two networks, as a stable ascending sort would: of equal ones the first in the flat
 * order go. Differences and squares are float64; NaN counts as the largest.
 */
export async function lossMask(
  order: FlatOrder,
  end: Readonly<Record<string, ArrayLike<number>>>,
  target: Readonly<Record<string, ArrayLike<number>>>,
  dropped: number,
): Promise<Record<string, Float32Array>> {
  const turn = new Turn()
  const squares = new Float64Array(order.size)
  for (const [name, places] of Object.entries(order.places)) {
    const [a, b] = [end[name], target[name]]
    await inPieces(places.length, turn, (from, to) => {
      for (let j = from; j < to; j++) squares[places[j]] = (a[j] - b[j]) ** 2
    })
  }
  const kept = await keptOf(squares, dropped, turn)
  const masks: Record<string, Float32Array> = {}
  for (const [name, places] of Object.entries(order.places)) {
    const mask = new Float32Array(places.length)
    await inPieces(places.length, turn, (from, to) => {
      for (let j = from; j < to; j++) mask[j] = kept[places[j]]
    })
    masks[name] = mask
  }
  return masks
}

/** Digits of a float64 number, most significant first: of numbers >= 0 they are ordered as the numbers are. */
const digits = [
  { word: 1, shift: 16 },
  { word: 1, shift: 0 },
  { word: 0, shift: 16 },
  { word: 0, shift: 0 },
]

/** 0 at the `dropped` smallest of `squares`, ties by place, and 1 at others: a radix selection, whose every pass can pause. */
async function keptOf(squares: Float64Array, dropped: number, turn: Turn): Promise<Uint8Array> {
  const words = new Uint32Array(squares.buffer)
  const n = squares.length
  // 0: dropped, 1: kept, 2: equal to the threshold in all digits so far
  const state = new Uint8Array(n).fill(2)
  let left = dropped
  for (const { word, shift } of digits) {
    const counts = new Int32Array(1 << 16)
    const digit = (i: number) => (words[2 * i + word] >>> shift) & 0xffff
    await inPieces(n, turn, (from, to) => {
      for (let i = from; i < to; i++) if (state[i] === 2) counts[digit(i)]++
    })
    let threshold = 0
    while (threshold < 0xffff && left >= counts[threshold]) left -= counts[threshold++]
    await inPieces(n, turn, (from, to) => {
      for (let i = from; i < to; i++) {
        if (state[i] === 2 && digit(i) !== threshold) state[i] = digit(i) < threshold ? 0 : 1
      }
    })
  }
  await inPieces(n, turn, (from, to) => {
    for (let i = from; i < to; i++) if (state[i] === 2) state[i] = left-- > 0 ? 0 : 1
  })
  return state
}
