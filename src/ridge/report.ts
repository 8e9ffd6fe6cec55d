/** @file What the host says of a solved ridge regression: numbers for a record, rows that repeat, and the error of a matrix that no ridge mends. */
import { AludelError } from '../errors.js'
import { Turn } from '../event-loop.js'
import { mostRidgeTries, ridgeInfo } from './ridge.js'

export interface RidgeReport {
  /** The ridge that was used. */
  readonly ridge: number
  /** Its share of the trace. */
  readonly share: number
  readonly smallestPivot: number
  readonly largestPivot: number
  /** Largest by smallest pivot: at most the condition number, and usually near it. */
  readonly condition: number
  /** Factorisations that failed before; each made the ridge ten times larger. */
  readonly failedTries: number
  /** ||M A - Y|| / ||Y|| */
  readonly residual: number
}

/** `info` of a `RidgeHead`, as read from the device. */
export function ridgeReport(info: ArrayLike<number>): RidgeReport {
  const [smallestPivot, largestPivot] = [info[ridgeInfo.smallestPivot], info[ridgeInfo.largestPivot]]
  return {
    ridge: info[ridgeInfo.ridge],
    share: info[ridgeInfo.share],
    smallestPivot,
    largestPivot,
    condition: largestPivot / smallestPivot,
    failedTries: info[ridgeInfo.failedTries],
    residual: info[ridgeInfo.residual],
  }
}

/** Groups of equal rows of `[n,d]`, each ascending, in the order of their first rows. */
export async function repeatedRows(data: ArrayLike<number>, n: number, d: number): Promise<number[][]> {
  const turn = new Turn()
  const groups = new Map<number, number[][]>()
  const same = (a: number, b: number): boolean => {
    for (let i = 0; i < d; i++) if (data[a * d + i] !== data[b * d + i]) return false
    return true
  }
  for (let row = 0; row < n; row++) {
    // A sum in order is equal for equal rows, and seldom for others.
    let key = 0
    for (let i = 0; i < d; i++) key += data[row * d + i] * (1 + (i % 7))
    const known = groups.get(key) ?? []
    const group = known.find(([first]) => same(first, row))
    if (group) group.push(row)
    else groups.set(key, [...known, [row]])
    await turn.breathe()
  }
  return [...groups.values()]
    .flat()
    .filter(({ length }) => length > 1)
    .sort(([a], [b]) => a - b)
}

/** Rows of a group that are named. */
const mostNamed = 8

/** 'rows 1 and 4; rows 2, 3 and 9': for messages. */
export function describeRepeated(groups: readonly (readonly number[])[], most = 3): string {
  const shown = groups.slice(0, most).map((rows) => {
    const last = rows.length > mostNamed ? `${rows.length - mostNamed + 1} more` : rows[rows.length - 1]
    return `rows ${rows.slice(0, Math.min(rows.length, mostNamed) - 1).join(', ')} and ${last}`
  })
  return [...shown, ...(groups.length > most ? [`${groups.length - most} more groups`] : [])].join('; ')
}

/**
 * Throws `not_positive_definite` when every try failed: with n, the ridge's share of the trace, the pivot, and what repeats in `repeated`; and
 * `not_finite` when the pivot is no number, which is NaN or infinity in the features.
 */
export function checkRidgeReport(
  what: string,
  report: RidgeReport,
  n: number,
  repeated: readonly (readonly number[])[] = [],
  todo = 'give a larger c, or take repeated rows out',
): void {
  if (report.failedTries < mostRidgeTries) return
  const { smallestPivot, share } = report
  if (!Number.isFinite(smallestPivot)) {
    throw new AludelError(
      'not_finite',
      `${what}: expected finite features but a pivot is ${smallestPivot}; look for NaN or infinity in them`,
    )
  }
  const rows = repeated.length > 0 ? describeRepeated(repeated) : 'no rows'
  throw new AludelError(
    'not_positive_definite',
    `${what}: expected a positive definite ${n} x ${n} system but its smallest pivot is ${smallestPivot} with a ridge of ${share} of the trace, after ${mostRidgeTries} ridges; equal: ${rows}; ${todo}`,
  )
}
