/**
 * @file Gradients behind a depth of the flat public order (PAD, 2408.03360, appendix A.1): the first int(P alpha) entries are left out. The cut
 * may fall inside a tensor, of which then some boxes are taken; PyTorch's row-major order is that of the entries.
 */
import { reshape, type Shape, slice, type Value } from '../../engine/index.js'
import { sizeOf } from '../../engine/tensor/shape.js'
import type { Network, ParameterSpec } from '../../nn/module.js'

/** A tensor with how many of its entries, the first in PyTorch's order, are left out; all count where the number is absent. */
export interface MatchedTensor extends ParameterSpec {
  readonly dropped?: number
}

/** What a cut leaves of every tensor; those of which nothing is left are absent. */
export function behindCut(network: Network, dropped: number): readonly MatchedTensor[] {
  let begin = 0
  return network.parameters.flatMap((tensor) => {
    const cut = dropped - begin
    const size = sizeOf(tensor.shape)
    begin += size
    if (cut <= 0) return [tensor]
    return cut < size ? [{ ...tensor, dropped: cut }] : []
  })
}

export interface Box {
  readonly start: readonly number[]
  readonly stop: readonly number[]
}

/**
 * The entries of a row-major tensor from number `cut` on, as boxes: those that go on in the axis that they begin in. The first axis comes first:
 * whole rows, then what is left of the row that the cut falls into.
 */
export function boxesBehind(sizes: Shape, cut: number): readonly Box[] {
  const at = sizes.map((_, axis) => Math.floor(cut / sizeOf(sizes.slice(axis + 1))) % sizes[axis])
  const last = at.findLastIndex((place) => place > 0)
  return sizes.flatMap((size, axis) => {
    if (axis > Math.max(last, 0)) return []
    const first = at[axis] + (axis < last ? 1 : 0)
    if (first === size) return []
    const before = at.slice(0, axis)
    return [
      {
        start: [...before, first, ...sizes.slice(axis + 1).map(() => 0)],
        stop: [...before.map((place) => place + 1), size, ...sizes.slice(axis + 1)],
      },
    ]
  })
}

/** The engine's axes, a linear layer's rows apart, in PyTorch's order. */
const torchAxes: Readonly<Record<ParameterSpec['layout'], readonly number[]>> = {
  conv: [3, 2, 0, 1],
  linear: [3, 2, 0, 1],
  map: [2, 0, 1],
  tokens: [0, 1],
  vector: [0],
}

/** Pieces of one tensor, [n, ...]: `rows` with its last axis still that of the outputs, `row` the rest of one output. */
export interface Pieces {
  /** Absent where no output is whole. */
  readonly rows?: Value
  readonly row: readonly Value[]
}

/** What counts of `x`, [n, ...shape]. */
export function piecesOf({ layout, shape, rows, dropped = 0 }: MatchedTensor, x: Value): Pieces {
  if (dropped === 0) return { rows: x, row: [] }
  const split = layout === 'linear' ? [...(rows ?? [1, 1, shape[0]]), shape[1]] : shape
  const axes = torchAxes[layout]
  const n = x.shape[0]
  const whole = reshape(x, [n, ...split])
  const boxes = boxesBehind(
    axes.map((axis) => split[axis]),
    dropped,
  )
  const take = ({ start, stop }: Box) => {
    const place = (torch: readonly number[]) => split.map((_, axis) => torch[axes.indexOf(axis)])
    return slice(whole, [0, ...place(start)], [n, ...place(stop)])
  }
  const isWhole = ({ start, stop }: Box) => axes.slice(1).every((axis, i) => start[i + 1] === 0 && stop[i + 1] === split[axis])
  const rest = boxes.filter((box) => !isWhole(box)).map(take)
  const full = boxes.filter(isWhole).map(take)
  return { ...(full.length > 0 ? { rows: full[0] } : {}), row: rest }
}
