/** @file Cells of several repetitions as rows of a table: mean, deviation and confidence interval of each source, target by target. */
import { summary as summarise } from '../evaluate/summary.js'
import type { TransferCell } from './cells.js'
import type { TransferProtocol } from './settings.js'
import { type TransferSource, transferSources } from './source.js'

/** Accuracies in per cent. */
export interface TransferAccuracy {
  readonly source: TransferSource
  readonly mean: number
  /** Of the population, as the field reports it. */
  readonly std: number
  readonly n: number
  /** 95 % interval of the mean by Student's t; null for one network. */
  readonly interval: readonly [number, number] | null
}

export interface TransferRow {
  readonly target: string
  readonly protocol: TransferProtocol
  readonly network: string
  readonly accuracies: readonly TransferAccuracy[]
}

/** Cells of the same target, protocol and network, in order of first appearance. */
export function cellsByRow(cells: readonly TransferCell[]): TransferCell[][] {
  const rows = new Map<string, TransferCell[]>()
  for (const cell of cells) {
    const key = JSON.stringify([cell.target, cell.protocol, cell.network])
    rows.set(key, [...(rows.get(key) ?? []), cell])
  }
  return [...rows.values()]
}

/** How one source stands to another by repetitions, which start from the same weights each; accuracies in per cent. */
export interface TransferDifference {
  /** Mean of the differences, source less other. */
  readonly mean: number
  readonly n: number
  /** 95 % interval of it by Student's t; null for one repetition. */
  readonly interval: readonly [number, number] | null
}

/** Of cells of one row; undefined where no repetition has both sources. */
export function differenceOf(
  cells: readonly TransferCell[],
  source: TransferSource,
  other: TransferSource,
): TransferDifference | undefined {
  const differences = cells.flatMap((cell) => {
    const against = cell.source === source && cells.find((one) => one.source === other && one.repeat === cell.repeat)
    return against ? [{ accuracy: cell.accuracy - against.accuracy, perClass: [] }] : []
  })
  if (differences.length === 0) return undefined
  const { mean, n, interval } = summarise(differences)
  return { mean, n, interval }
}

/** Rows in order of first appearance; sources in the order of `transferSources`. */
export function transferRows(cells: readonly TransferCell[]): TransferRow[] {
  return cellsByRow(cells).map((own) => ({
    ...{ target: own[0].target, protocol: own[0].protocol, network: own[0].network },
    accuracies: transferSources.flatMap((source) => {
      const these = own.filter((cell) => cell.source === source)
      if (these.length === 0) return []
      const { mean, std, n, interval } = summarise(these.map(({ accuracy }) => ({ accuracy, perClass: [] })))
      return [{ source, mean, std, n, interval }]
    }),
  }))
}
