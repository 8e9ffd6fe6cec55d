/** @file Rows in panels: `panelRows` rows side by side, feature by feature, so that a vector holds one feature of several rows. */
import { expected } from '../../errors.js'
import type { TensorType, Value } from '../graph/node.js'
import { formatShape, type Shape } from '../tensor/shape.js'
import { checkValues } from './build.js'
import { checkRank } from './check.js'
import { pad, reshape, transpose } from './movement.js'

/** Whatever the vector width: a panel's layout is part of the ops that read it. */
export const panelRows = 32

/** [B, D, panelRows] of `rows` rows of `width` numbers. */
export const panelShape = (rows: number, width: number): Shape => [Math.ceil(rows / panelRows), width, panelRows]

/** Rows `[N,D]` as panels `[B,D,32]`, zeros behind the last row. Throws `invalid_data` for no value of a trace, `invalid_shape`. */
export function rowPanels(x: Value): Value {
  checkValues('rowPanels', [x])
  checkRank('rowPanels', 'x', x, 2, '[N,D]')
  const [rows, width] = x.shape
  const [panels] = panelShape(rows, width)
  const whole = pad(x, { after: [panels * panelRows - rows, 0] })
  return transpose(reshape(whole, [panels, panelRows, width]), [0, 2, 1])
}

/** Width of the rows in `panels`, which must hold at least `rows` rows. Throws `invalid_shape`. */
export function checkPanels(op: string, panels: TensorType, rows: number): number {
  const [count = 0, width = 0, own] = panels.shape
  if (panels.shape.length !== 3 || own !== panelRows || count < panelShape(rows, width)[0])
    throw expected('invalid_shape', op, `panels [B,D,${panelRows}] of ${rows} rows`, formatShape(panels.shape))
  return width
}

/** Feature `d` of `row` is at this place plus d * panelRows. */
export const placeInPanels = (row: number, width: number): number => Math.floor(row / panelRows) * width * panelRows + (row % panelRows)
