/**
 * @file Cells of a measurement that is under way, appended to a file as they are done: a line a batch, on the disk before the next begins. A line
 * that a crash cut short is no line, and goes before the next is written.
 */
import { open, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { exists, readText } from '../data/file-bytes.js'
import { AludelError, onFile } from '../errors.js'
import { syncDirectory } from '../files/atomic-file.js'
import { type CellFormat, mostCellBytes } from './cell-file.js'

export type JournalFormat<T> = Pick<CellFormat<T>, 'command' | 'isCell'>

export interface CellJournal<T> {
  /** Durable when the promise resolves. */
  append(cells: readonly T[]): Promise<void>
  /** For when the cells stand elsewhere. */
  remove(): Promise<void>
}

/** Whole lines of a journal and their bytes. */
interface Lines<T> {
  readonly cells: T[]
  readonly bytes: number
}

/** The cells in a journal, in order; none where there is no file. Throws `invalid_data` for a file of another kind. */
export const readCellJournal = async <T>(path: string, format: JournalFormat<T>): Promise<T[]> => (await readLines(path, format)).cells

/** The journal at `path`, which begins with the first cells. For one process at a time. */
export async function openCellJournal<T>(path: string, format: JournalFormat<T>): Promise<CellJournal<T>> {
  let { bytes: end } = await readLines(path, format)
  return {
    append: (cells) =>
      onFile(path, async () => {
        const line = `${JSON.stringify(cells)}\n`
        const file = await open(path, 'a')
        try {
          await file.truncate(end)
          await file.appendFile(line)
          await file.sync()
        } finally {
          await file.close()
        }
        if (end === 0) await syncDirectory(dirname(path))
        end += Buffer.byteLength(line)
      }),
    async remove() {
      await onFile(path, () => rm(path, { force: true }))
      end = 0
    },
  }
}

async function readLines<T>(path: string, { command, isCell }: JournalFormat<T>): Promise<Lines<T>> {
  if (!(await exists(path))) return { cells: [], bytes: 0 }
  const text = await readText(path, mostCellBytes)
  const whole = text.slice(0, text.lastIndexOf('\n') + 1)
  const cells = whole
    .split('\n')
    .slice(0, -1)
    .flatMap((line, i) => {
      const batch = parsed(line)
      if (Array.isArray(batch) && batch.every(isCell)) return batch
      throw new AludelError(
        'invalid_data',
        `${path}: line ${i + 1}: expected results of ${command}; move the file away or give another --out`,
      )
    })
  return { cells, bytes: Buffer.byteLength(whole) }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
