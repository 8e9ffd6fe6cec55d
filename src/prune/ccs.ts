/** @file Coverage-centric selection (Zheng et al., 2210.15809): the hardest share goes, the rest of the range is filled evenly. */
import { AludelError } from '../errors.js'
import { inPieces, Turn } from '../event-loop.js'
import { drawUniform } from '../scores/uniform.js'
import type { CcsOptions } from './options.js'
import type { Ranked } from './ranked.js'
import { stableOrder } from './stable-order.js'

export interface CcsGroup {
  /** Ascending. */
  readonly rows: Int32Array
  readonly count: number
  readonly seed: number
  /** Separates the draws of groups. */
  readonly part: string
}

/**
 * The chosen rows first, then those that were not drawn, easiest first, then those cut off. Strata are equal parts of the range of scores;
 * the smallest is served first, each with its share of what is left, so that exactly `count` are chosen.
 * Throws `invalid_option` when the cutoff leaves fewer than `count`.
 */
export async function rankByCoverage(
  { rows, count, seed, part }: CcsGroup,
  hardness: Float64Array,
  { cutoff, bins }: Required<CcsOptions>,
): Promise<Ranked> {
  const order = await stableOrder(rows, hardness)
  const left = order.subarray(0, rows.length - Math.trunc(cutoff * rows.length))
  if (left.length < count) {
    const say = `cutoff ${cutoff} leaves ${left.length} of ${rows.length} samples but ${count} are to stay`
    throw new AludelError('invalid_option', `ccs: ${part}: ${say}; lower the cutoff or keep fewer`)
  }
  const turn = new Turn()
  const strata = await stratify(left, hardness, bins, turn)
  const list = new Int32Array(rows.length)
  const drawn = new Uint8Array(left.length)
  let filled = 0
  for (const [i, { bin, from, size }] of strata.entries()) {
    await turn.breathe()
    const share = Math.min(size, Math.floor((count - filled) / (strata.length - i)))
    for (const place of await drawUniform(size, share, seed, `ccs ${part} ${bin}`)) {
      list[filled++] = left[from + place]
      drawn[from + place] = 1
    }
  }
  await inPieces(order.length, turn, (from, to) => {
    for (let i = from; i < to; i++) if (drawn[i] !== 1) list[filled++] = order[i]
  })
  return { list, begin: 0, end: count, next: 'right' }
}

/** Places of the order whose scores lie in one part of the range. */
interface Stratum {
  readonly bin: number
  readonly from: number
  readonly size: number
}

/** Strata that are not empty, the smallest first, of equal ones the easier. `order` is ascending by hardness, so they are stretches of it. */
async function stratify(order: Int32Array, hardness: Float64Array, bins: number, turn: Turn): Promise<Stratum[]> {
  // halves: the range of finite scores may overflow
  const lowest = hardness[order[0]] / 2
  const range = hardness[order[order.length - 1]] / 2 - lowest
  const sizes = new Int32Array(bins)
  await inPieces(order.length, turn, (first, last) => {
    for (let i = first; i < last; i++) {
      const share = range > 0 ? (hardness[order[i]] / 2 - lowest) / range : 0
      sizes[Math.min(bins - 1, Math.floor(share * bins))]++
    }
  })
  const strata: Stratum[] = []
  let from = 0
  for (let bin = 0; bin < bins; bin++) {
    if (sizes[bin] > 0) strata.push({ bin, from, size: sizes[bin] })
    from += sizes[bin]
  }
  return strata.sort((a, b) => a.size - b.size || a.bin - b.bin)
}
