/**
 * @file What a search keeps: a journal of its trainings while it is under way, and at its end nas.json, the same bytes however often it was
 * stopped, with the times beside it.
 */
import { join } from 'node:path'
import { isRecord } from '../arguments.js'
import { type CellFormat, readCellFile, writeCellFile } from '../experiment/cell-file.js'
import { type JournalFormat, openCellJournal, readCellJournal } from '../experiment/cell-journal.js'
import { isNumber } from '../experiment/json-fields.js'
import { prepareDirectory } from '../files/atomic-file.js'
import { type NasSource, nasSources } from './options.js'
import type { NasResult, NasSourceResult } from './summary.js'

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
  /** Notes what came of the search, its times apart from the rest. */
  conclude(result: NasResult): Promise<void>
}

export const nasFile = 'nas.json'
export const nasTimesFile = 'nas-times.json'
export const nasJournalFile = 'nas.journal'

type KeptCell = Omit<NasCell, 'seconds'>
type KeptTime = Pick<NasCell, 'key'> & { readonly seconds: number }

const isCell = (cell: unknown): cell is KeptCell =>
  isRecord(cell) &&
  typeof cell.architecture === 'string' &&
  typeof cell.key === 'string' &&
  (nasSources as readonly unknown[]).includes(cell.source) &&
  Number.isSafeInteger(cell.repeat) &&
  (cell.accuracy === null || isNumber(cell.accuracy))

const isTime = (value: unknown): value is KeptTime => isRecord(value) && typeof value.key === 'string' && isNumber(value.seconds)

export const cellFormat: CellFormat<KeptCell> = { format: 'aludel-nas', version: 1, command: 'aludel nas', isCell }
export const timeFormat: CellFormat<KeptTime> = { ...cellFormat, format: 'aludel-nas-times', isCell: isTime }

const journalFormat: JournalFormat<NasCell> = {
  command: cellFormat.command,
  isCell: (cell: unknown): cell is NasCell => isRecord(cell) && (cell.seconds === null || isNumber(cell.seconds)) && isCell(cell),
}

/**
 * The cells of all searches in `dir` with their times, those of one under way last; none where there is no file. Throws `invalid_data` for a
 * file that is none of ours.
 */
export async function readNasCells(dir: string): Promise<NasCell[]> {
  const kept = await readCellFile(join(dir, nasFile), cellFormat)
  const times = new Map((await readCellFile(join(dir, nasTimesFile), timeFormat)).map(({ key, seconds }) => [key, seconds]))
  const cells = kept.map((cell) => ({ ...cell, seconds: times.get(cell.key) ?? null }))
  // a search that was killed at its end has the same cells in both
  return [...byKeyOf([...cells, ...(await readCellJournal(join(dir, nasJournalFile), journalFormat))]).values()]
}

const byKeyOf = (cells: readonly NasCell[]): Map<string, NasCell> => new Map(cells.map((cell) => [cell.key, cell]))

/** What a directory has, to plan by: nothing is made or written. */
export async function readNasStore(dir: string): Promise<Pick<NasStore, 'find'>> {
  const byKey = byKeyOf(await readNasCells(dir))
  return { find: (key) => byKey.get(key) }
}

/** The store of a directory, which is made. For one process at a time. */
export async function openNasStore(dir: string): Promise<NasStore & { readonly cells: readonly NasCell[] }> {
  const byKey = byKeyOf(await readNasCells(dir))
  await prepareDirectory(dir)
  const journal = await openCellJournal(join(dir, nasJournalFile), journalFormat)
  return {
    get cells() {
      return [...byKey.values()]
    },
    find: (key) => byKey.get(key),
    async add(more) {
      for (const cell of more) byKey.set(cell.key, cell)
      await journal.append(more)
    },
    async conclude(result) {
      const cells = [...byKey.values()]
      const times = cells.flatMap(({ key, seconds }) => (seconds === null ? [] : [{ key, seconds }]))
      const kept = cells.map(({ seconds: _, ...cell }) => cell)
      // the journal goes last: until then it has all that the others may lack
      await writeCellFile(join(dir, nasTimesFile), timeFormat, times, { sources: result.sources.map(timesOf) })
      await writeCellFile(join(dir, nasFile), cellFormat, kept, { result: withoutTimes(result) })
      await journal.remove()
    },
  }
}

const timesOf = ({ source, seconds, spaceSeconds }: NasSourceResult) => ({ source, seconds, spaceSeconds })

const withoutTimes = ({ sources, ...rest }: NasResult): object => ({
  ...rest,
  sources: sources.map(({ seconds: _, spaceSeconds: __, ...source }) => source),
})
