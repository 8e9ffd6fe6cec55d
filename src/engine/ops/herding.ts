/** @file One pick of herding: the row nearest to a target, or most along it, and the target that follows. */
import type { Attrs, TensorType, Value } from '../graph/node.js'
import { sizeOf } from '../tensor/shape.js'
import { emit } from './build.js'
import { checkArity, checkDtype, checkRank, checkShapeIs, intAttr } from './check.js'
import { defineOp } from './define.js'
import { checkPanels, panelRows, placeInPanels } from './row-panels.js'

export const herdRules = { residual: 0, welling: 1 } as const
export type HerdRule = keyof typeof herdRules

export interface HerdPick {
  /** f64 `[D]` */
  readonly target: Value
  /** i32 `[N]`: `taken` with the row counted. */
  readonly taken: Value
  /** i32 `[]` */
  readonly chosen: Value
}

/**
 * One row of those in `panels` f32 `[B,D,32]` (see `rowPanels`); `taken` i32 `[N]` says how often each was taken, `mean` f64 `[D]` is the mean of all.
 * 'residual': target += mean, the row of least ||target - x||, target -= x. 'welling': the row of largest <target, x>, target -= x, then
 * target += mean. Rows taken before are passed over unless they may repeat; the first row wins ties. Sums are float64, feature by feature,
 * unfused: equal bits on every backend.
 */
export function herdStep(panels: Value, mean: Value, target: Value, taken: Value, rule: HerdRule, repeats = false): HerdPick {
  const [following, counted, chosen] = emit('herd_step', [panels, mean, target, taken], {
    rule: herdRules[rule],
    repeats: Number(repeats),
  })
  return { target: following, taken: counted, chosen }
}

const op = 'herd_step'

const herdStepOp = defineOp({
  doc: 'One pick of herding over rows in panels; not differentiable.',
  type(inputs, attrs) {
    checkArity(op, inputs, 4)
    const [panels, mean, target, taken] = inputs
    checkDtype(op, panels, 'f32')
    checkDtype(op, taken, 'i32')
    checkRank(op, 'taken', taken, 1, '[N]')
    const width = checkPanels(op, panels, taken.shape[0])
    for (const [name, row] of Object.entries({ mean, target })) {
      checkDtype(op, row, 'f64')
      checkShapeIs(op, name, row, [width])
    }
    for (const name of ['rule', 'repeats']) intAttr(op, attrs, name)
    return [target, taken, { shape: [], dtype: 'i32' } satisfies TensorType]
  },
  reference([panels, mean, target, taken], attrs: Attrs) {
    const residual = attrs.rule === herdRules.residual
    const feature = (row: number, d: number) => panels.data[placeInPanels(row, mean.data.length) + d * panelRows]
    const sum = (of: (d: number) => number) => aimed.reduce((total, _, d) => total + of(d), 0)
    const aimed = target.data.map((v, d) => (residual ? v + mean.data[d] : v))
    const value = (row: number) =>
      residual ? sum((d) => (aimed[d] - feature(row, d)) * (aimed[d] - feature(row, d))) : -sum((d) => aimed[d] * feature(row, d))
    let [chosen, least] = [-1, 0]
    for (let row = 0; row < taken.data.length; row++) {
      if (attrs.repeats === 0 && taken.data[row] > 0) continue
      const own = value(row)
      if (chosen < 0 || own < least) [chosen, least] = [row, own]
    }
    const following = aimed.map((v, d) => v - feature(chosen, d)).map((v, d) => (residual ? v : v + mean.data[d]))
    return [
      { shape: target.shape, data: following },
      { shape: taken.shape, data: taken.data.map((times, row) => times + Number(row === chosen)) },
      { shape: [], data: Float64Array.of(chosen) },
    ]
  },
  flops: ([panels]) => 3 * sizeOf(panels.shape),
  encode: (attrs) => [attrs.rule as number, attrs.repeats as number],
})

export const herdingOps = { herd_step: herdStepOp }
