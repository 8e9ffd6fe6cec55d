/** @file Everything a report of scores shows, as plain data. */
import type { ScoreFile, Subset } from '../prune/index.js'
import type { ScoresRecord } from '../scoring/score-directory.js'

/** What is known of the samples that were scored. */
export interface ScoredSamples {
  /** Rows of each class, ascending. */
  readonly rows: readonly ArrayLike<number>[]
}

/** Images at the ends of one score, one class after the other. */
export interface Extremes {
  readonly kind: string
  /** By class: rows from the easiest on, and rows from the hardest on. */
  readonly classes: readonly { readonly easiest: readonly number[]; readonly hardest: readonly number[] }[]
}

export interface ScoreReport {
  readonly record: ScoresRecord
  /** In the order of the record. */
  readonly kinds: readonly ScoreFile[]
  /** Absent where the data was not looked at: then there is nothing by class. */
  readonly samples?: ScoredSamples
  readonly extremes: readonly Extremes[]
  /** Pixels of the rows that stand in `extremes`, bytes NHWC, and where each row is among them. */
  readonly pictures?: {
    readonly images: Uint8Array
    readonly shape: readonly [number, number, number, number]
    readonly place: ReadonlyMap<number, number>
  }
  /** What a subset keeps of the same data, and what the file is called. */
  readonly subset?: { readonly file: string; readonly subset: Subset }
}
