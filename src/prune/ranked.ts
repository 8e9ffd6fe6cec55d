/** @file Samples of a class, or of all classes, in the order of a rule, and which stretch of them stays. */

export interface Ranked {
  /** Rows of the data set. */
  readonly list: Int32Array
  /** list[begin] up to but not including list[end] stay. */
  readonly begin: number
  readonly end: number
  /** The side on which the next best samples stand: those that a raised count takes first. */
  readonly next: 'left' | 'right'
}

/** The rows that do not stay, the best first. */
export function* runnersUp({ list, begin, end, next }: Ranked): Generator<number> {
  if (next === 'right') yield* list.subarray(end)
  for (let i = begin - 1; i >= 0; i--) yield list[i]
  if (next === 'left') yield* list.subarray(end)
}
