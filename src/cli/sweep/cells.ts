/** @file What a sweep consists of: one run for every share, order and repetition, in an order in which whole curves come first. */
import type { SweepCell } from '../../experiment/sweep-record.js'
import type { PruneChoice } from '../../prune/index.js'

export type SweepOrder = Exclude<SweepCell['order'], 'all'>

export interface SweepGrid {
  /** Shares of the images that stay, in (0, 1]. */
  readonly keep: readonly number[]
  readonly orders: readonly SweepOrder[]
  readonly repeats: number
  /** Of the first repetition; the next ones count on. */
  readonly seed: number
  /** Score of 'asc' and 'desc'. */
  readonly kind: string
}

export interface PlannedCell extends Pick<SweepCell, 'order' | 'keep' | 'repeat' | 'seed' | 'run' | 'subset'> {
  /** What chooses its images; absent where all stay. */
  readonly choice?: PruneChoice
}

/** Repetition by repetition; everything (share 1) is one run, not one an order. Scores choose the same images in every repetition. */
export function planCells({ keep, orders, repeats, seed, kind }: SweepGrid): PlannedCell[] {
  return Array.from({ length: repeats }, (_, repeat) => repeat).flatMap((repeat) => {
    const drawn = seed + repeat
    const all: PlannedCell[] = keep.includes(1)
      ? [{ order: 'all', keep: 1, repeat, seed: drawn, run: `runs/all-seed${drawn}`, subset: null }]
      : []
    const parts = keep
      .filter((share) => share < 1)
      .flatMap((share) =>
        orders.map((order): PlannedCell => {
          const random = order === 'random'
          const name = `${order}-${share}`
          return {
            ...{ order, keep: share, repeat, seed: drawn, run: `runs/${name}-seed${drawn}` },
            subset: `subsets/${random ? `${name}-seed${drawn}` : name}.json`,
            choice: random ? { kind: 'random', keep: share, seed: drawn } : { kind, order, keep: share },
          }
        }),
      )
    return [...all, ...parts]
  })
}
