/** @file What a search keeps: nas.json, the same bytes however often it was stopped, and the times beside it. */
import { join } from 'node:path'
import { isRecord } from '../arguments.js'
import { type CellFormat, readCellFile, writeCellFile } from '../experiment/cell-file.js'
import { prepareDirectory } from '../files/atomic-file.js'
import { type NasSource, nasSources } from './options.js'
import type { NasResult } from './summary.js'

/** One network, trained once on one source. */
export interface NasCell {
  readonly architecture: string
  readonly source: NasSource
  /** Number of the repetition, from 0. */
  readonly repeat: number
  /** Of the test images, in per cent; null for a network whose loss stopped being a number. */
  readonly accuracy: number | null
  /** Of its training and measurement; null where the times were lost. */
  readonly seconds: number | null
  /** Hash of everything that the accuracy depends on. */
  readonly key: string
}

export interface NasStore {
  /** The cell of that key, if it was measured before. */
  find(key: string): NasCell | undefined
  /** Durable when the promise resolves. */
  add(cells: readonly NasCell[]): Promise<void>
  /** Notes what came of the search, without its times. */
  conclude(result: NasResult): Promise<void>
}

export const nasFile = 'nas.json'
export const nasTimesFile = 'nas-times.json'

type KeptCell = Omit<NasCell, 'seconds'>
type KeptTime = Pick<NasCell, 'key'> & { readonly seconds: number }

const isCell = (cell: unknown): cell is KeptCell =>
  isRecord(cell) &&
  typeof cell.architecture === 'string' &&
  typeof cell.key === 'string' &&
  (nasSources as readonly unknown[]).includes(cell.source) &&
  Number.isSafeInteger(cell.repeat) &&
  (cell.accuracy === null || (typeof cell.accuracy === 'number' && Number.isFinite(cell.accuracy)))

const isTime = (value: unknown): value is KeptTime =>
  isRecord(value) && typeof value.key === 'string' && typeof value.seconds === 'number' && Number.isFinite(value.seconds)

const cellFormat: CellFormat<KeptCell> = { format: 'aludel-nas', version: 1, command: 'aludel nas', isCell }
const timeFormat: CellFormat<KeptTime> = { ...cellFormat, format: 'aludel-nas-times', isCell: isTime }

/** The cells in nas.json of `dir` with their times; none where there is no file. Throws `invalid_data` for a file that is none of ours. */
export async function readNasCells(dir: string): Promise<NasCell[]> {
  const kept = await readCellFile(join(dir, nasFile), cellFormat)
  const times = new Map((await readCellFile(join(dir, nasTimesFile), timeFormat)).map(({ key, seconds }) => [key, seconds]))
  return kept.map((cell) => ({ ...cell, seconds: times.get(cell.key) ?? null }))
}

/** What a directory has, to plan by: nothing is made or written. */
export async function readNasStore(dir: string): Promise<Pick<NasStore, 'find'>> {
  const byKey = new Map((await readNasCells(dir)).map((cell) => [cell.key, cell]))
  return { find: (key) => byKey.get(key) }
}

/** The store of a directory, which is made. For one process at a time. */
export async function openNasStore(dir: string): Promise<NasStore & { readonly cells: readonly NasCell[] }> {
  const cells = await readNasCells(dir)
  await prepareDirectory(dir)
  const byKey = new Map(cells.map((cell) => [cell.key, cell]))
  const write = (result: object | null) =>
    writeCellFile(
      join(dir, nasFile),
      cellFormat,
      cells.map(({ seconds: _, ...kept }) => kept),
      { result },
    )
  return {
    cells,
    find: (key) => byKey.get(key),
    async add(more) {
      for (const cell of more) byKey.set(cell.key, cell)
      cells.push(...more)
      const times = cells.flatMap(({ key, seconds }) => (seconds === null ? [] : [{ key, seconds }]))
      // first: a cell without a time would be lost work, a time without its cell is nothing
      await writeCellFile(join(dir, nasTimesFile), timeFormat, times)
      await write(null)
    },
    conclude: (result) => write(withoutTimes(result)),
  }
}

const withoutTimes = ({ sources, ...rest }: NasResult): object => ({
  ...rest,
  sources: sources.map(({ seconds: _, spaceSeconds: __, ...source }) => source),
})
