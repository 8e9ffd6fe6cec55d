/** @file One pick of k-center greedy: distances to a new centre, the nearest so far, and the row that is farthest. */
import type { TensorType, Value } from '../graph/node.js'
import { sizeOf } from '../tensor/shape.js'
import { emit } from './build.js'
import { checkArity, checkDtype, checkRank, checkShapeIs } from './check.js'
import { defineOp } from './define.js'
import { checkPanels, panelRows, placeInPanels } from './row-panels.js'

export interface KCenterPick {
  /** f64 `[N]`: `nearest` with the new centre taken in. */
  readonly nearest: Value
  /** i32 `[]`: the row to take next, the first of the farthest; -1 when all are taken. */
  readonly next: Value
  /** i32 `[]`: the row that was taken. */
  readonly chosen: Value
  /** f64 `[]`: the largest distance of any row to the nearest of those taken. */
  readonly radius: Value
}

/**
 * Takes row `given`, or row `next` where `given` is -1 (both i32 `[]`), of rows in `panels` f32 `[B,D,32]` (see `rowPanels`). `nearest`, f64
 * `[N]`, holds the squared distance of each row to the nearest of those taken before: Infinity at first, -1 for rows that were taken. Squares are added
 * feature by feature in float64, unfused: equal bits on every backend.
 */
export function kCenterStep(panels: Value, nearest: Value, next: Value, given: Value): KCenterPick {
  const [updated, following, chosen, radius] = emit('k_center_step', [panels, nearest, next, given])
  return { nearest: updated, next: following, chosen, radius }
}

const op = 'k_center_step'
const scalar = (dtype: TensorType['dtype']): TensorType => ({ shape: [], dtype })

const kCenterStepOp = defineOp({
  doc: 'One pick of k-center greedy over rows in panels; not differentiable.',
  type(inputs) {
    checkArity(op, inputs, 4)
    const [panels, nearest, next, given] = inputs
    checkDtype(op, panels, 'f32')
    checkDtype(op, nearest, 'f64')
    checkRank(op, 'nearest', nearest, 1, '[N]')
    checkPanels(op, panels, nearest.shape[0])
    for (const [name, row] of Object.entries({ next, given })) {
      checkDtype(op, row, 'i32')
      checkShapeIs(op, name, row, [])
    }
    return [nearest, scalar('i32'), scalar('i32'), scalar('f64')]
  },
  reference([panels, nearest, next, given]) {
    const [, width] = panels.shape
    const chosen = given.data[0] >= 0 ? given.data[0] : next.data[0]
    const updated = nearest.data.slice()
    updated[chosen] = -1
    let [farthest, largest] = [-1, -1]
    for (let row = 0; row < updated.length; row++) {
      if (updated[row] < 0) continue
      let distance = 0
      for (let d = 0; d < width; d++) {
        const difference =
          panels.data[placeInPanels(chosen, width) + d * panelRows] - panels.data[placeInPanels(row, width) + d * panelRows]
        distance += difference * difference
      }
      updated[row] = Math.min(updated[row], distance)
      if (updated[row] > largest) [farthest, largest] = [row, updated[row]]
    }
    const one = (value: number) => ({ shape: [], data: Float64Array.of(value) })
    return [{ shape: nearest.shape, data: updated }, one(farthest), one(chosen), one(Math.sqrt(Math.max(0, largest)))]
  },
  flops: ([panels]) => 3 * sizeOf(panels.shape),
})

export const kCenterOps = { k_center_step: kCenterStepOp }
