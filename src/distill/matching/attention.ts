/** @file Attention maps of ReLU maps: one unit vector per image, over positions (DataDAM, 2310.00093) or over channels (ATOM, 2405.01373). */
import {
  div,
  greater,
  largestPower,
  maximum,
  pow,
  powerSums,
  reshape,
  select,
  sqrt,
  squaredNorm,
  sum,
  type Value,
} from '../../engine/index.js'
import { AludelError, expected } from '../../errors.js'
import { type Network, tapCount } from '../../nn/module.js'

/** Vectors shorter than this are divided by it instead of by their length. */
const shortest = 1e-12

/** Sums of f^p over channels [1, N, H, W] and over positions [1, N, C] of a ReLU map f (which needs no absolute value), p > 0. */
function sumsOf(f: Value, p: number): { readonly positions: Value; readonly channels: Value } {
  if (Number.isInteger(p) && p <= largestPower) return powerSums(f, p)
  // Below p = 1 the derivative is infinite at 0, where the ReLU lets nothing through: both branches must stay finite.
  const active = greater(f, 0)
  const powers = select(active, pow(select(active, f, 1), p), 0)
  return { positions: sum(powers, { axes: [-1] }), channels: sum(powers, { axes: [2, 3] }) }
}

/** a / max(||a||, 1e-12) for every row of [N, D]. */
function unitRows(a: Value): Value {
  // The bound stands under the root, where the gradient of a row of zeros is 0 and not 0/0.
  return div(a, sqrt(maximum(squaredNorm(a, { axes: [1], keep: true }), shortest ** 2)))
}

/** sum_ch f[b, i, ch]^p over channels, normalised: [1, N, H, W, C] -> [N, H W]. */
export function spatialAttention(f: Value, p: number): Value {
  const [, rows, height, width] = f.shape
  return unitRows(reshape(sumsOf(f, p).positions, [rows, height * width]))
}

/** sum_i f[b, i, ch]^p over positions, normalised: [1, N, H, W, C] -> [N, C]. */
export function channelAttention(f: Value, p: number): Value {
  const [, rows, , , channels] = f.shape
  return unitRows(reshape(sumsOf(f, p).channels, [rows, channels]))
}

/**
 * The blocks whose ReLU maps are matched; an empty list means all but the last (1..L-1), which enters through the embedding.
 * Throws `invalid_option` when the network does not have a block that was asked for, or none to match.
 */
export function matchedLayers(layers: readonly number[], network: Network): readonly number[] {
  const blocks = tapCount(network)
  if (blocks < 2) {
    throw new AludelError(
      'invalid_option',
      `network: expected one with at least 2 blocks for attention matching but received ${network.name} with ${blocks}`,
    )
  }
  const missing = layers.find((layer) => layer > blocks)
  if (missing !== undefined) throw expected('invalid_option', 'layers', `block numbers up to ${blocks} of ${network.name}`, missing)
  return layers.length > 0 ? layers : Array.from({ length: blocks - 1 }, (_, i) => i + 1)
}
