/** @file Cases of the ops that choose rows: numbers on a coarse grid, so that there are ties, and numbers without any. */
import { herdStep, kCenterStep, rowPanels } from '../../src/engine/index.js'
import { between, type CaseInput, given, type OpCase } from './case.js'

const rowCounts = [1, 31, 32, 75]
const width = 5
/** More rows than a block of threads has, more features than are on their way at once. */
const large = { rows: 100, width: 161 }

const infinite = (rows: number): CaseInput => given([rows], new Array<number>(rows).fill(Number.POSITIVE_INFINITY), 'f64')
/** Some distances, every seventh row taken. */
const met = (rows: number): CaseInput => ({
  shape: [rows],
  dtype: 'f64',
  fill: (_, draw) => draw(0).map((u, row) => (row % 7 === 3 ? -1 : 0.5 + 3 * u)),
})
const scalar = (value: number): CaseInput => given([], [value], 'i32')

const kCenter = (name: string, x: CaseInput, nearest: CaseInput, next: number, start: number): OpCase => ({
  op: 'k_center_step',
  name,
  inputs: [x, nearest, scalar(next), scalar(start)],
  build(rows, ...state) {
    const [before, following, asked] = state
    const pick = kCenterStep(rowPanels(rows), before, following, asked)
    return [pick.nearest, pick.next, pick.chosen, pick.radius]
  },
  tolerance: 0,
})

const herding = (name: string, x: CaseInput, taken: CaseInput, rule: 'residual' | 'welling', repeats = false): OpCase => ({
  op: 'herd_step',
  name,
  inputs: [x, between([x.shape[1]], -0.5, 0.5, 'f64'), between([x.shape[1]], -2, 2, 'f64'), taken],
  build(rows, mean, target, counts) {
    const pick = herdStep(rowPanels(rows), mean, target, counts, rule, repeats)
    return [pick.target, pick.taken, pick.chosen]
  },
  tolerance: 0,
})

/** Every third row was taken. */
const counts = (rows: number): CaseInput => ({
  shape: [rows],
  dtype: 'i32',
  fill: (n) => Array.from({ length: n }, (_, i) => Number(i % 3 === 1)),
})
const grid = (rows: number): CaseInput => ({
  shape: [rows, width],
  dtype: 'f32',
  fill: (_, draw) => draw(0).map((u) => Math.floor(3 * u)),
})

export const selectionCases: readonly OpCase[] = [
  ...rowCounts.flatMap((rows) => [
    kCenter(`${rows} rows, the first pick`, between([rows, width], -1, 1), infinite(rows), 0, -1),
    kCenter(`${rows} rows, ties`, grid(rows), met(rows), Math.min(4, rows - 1), -1),
    kCenter(`${rows} rows, a given one`, between([rows, width], -1, 1), met(rows), -1, rows - 1),
    herding(`${rows} rows, residual`, between([rows, width], -1, 1), counts(rows), 'residual'),
    herding(`${rows} rows, ties`, grid(rows), counts(rows), 'residual'),
    herding(`${rows} rows, Welling's`, between([rows, width], -1, 1), counts(rows), 'welling'),
    herding(`${rows} rows, Welling's with repeats`, grid(rows), counts(rows), 'welling', true),
  ]),
  kCenter('many features', between([large.rows, large.width], -1, 1), met(large.rows), 71, -1),
  herding('many features, residual', between([large.rows, large.width], -1, 1), counts(large.rows), 'residual'),
  herding("many features, Welling's", between([large.rows, large.width], -1, 1), counts(large.rows), 'welling'),
  kCenter('all rows taken', between([2, 3], -1, 1), given([2], [-1, 1], 'f64'), 1, -1),
  kCenter('numbers whose squares are beyond float32', between([40, 2], -3e38, 3e38), infinite(40), 7, -1),
]
