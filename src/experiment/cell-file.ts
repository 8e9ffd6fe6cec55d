/** @file Measurements kept cell by cell in one JSON file that a later call goes on with: nothing that is done is done again. */
import { createHash } from 'node:crypto'
import { isRecord } from '../arguments.js'
import { exists, readText } from '../data/file-bytes.js'
import { AludelError } from '../errors.js'
import { writeAtomic } from '../files/atomic-file.js'

export interface CellFormat<T> {
  readonly format: string
  readonly version: number
  /** Whose results they are, for errors. */
  readonly command: string
  readonly isCell: (value: unknown) => value is T
}

/** Of a file of cells. */
export const mostCellBytes = 256 << 20

/** Key of a cell: the hash of everything that it depends on. */
export const keyOfCell = (depends: object): string => createHash('sha256').update(JSON.stringify(depends)).digest('hex')

/** The cells in a file; none where there is no file. Throws `invalid_data` for a file of another kind. */
export const readCellFile = async <T>(path: string, format: CellFormat<T>): Promise<T[]> => (await readWholeCellFile(path, format)).cells

/** As `readCellFile`, with what else stands in the file. */
export async function readWholeCellFile<T>(
  path: string,
  { format, version, command, isCell }: CellFormat<T>,
): Promise<{ readonly cells: T[]; readonly [more: string]: unknown }> {
  if (!(await exists(path))) return { cells: [] }
  let value: unknown
  try {
    value = JSON.parse(await readText(path, mostCellBytes))
  } catch (cause) {
    if (cause instanceof AludelError) throw cause
    throw new AludelError('invalid_data', `${path}: not JSON (${(cause as Error).message}); move the file away or give another --out`, {
      cause,
    })
  }
  if (!isRecord(value) || value.format !== format || value.version !== version || !Array.isArray(value.cells) || !value.cells.every(isCell))
    throw new AludelError('invalid_data', `${path}: expected the results of ${command}; move the file away or give another --out`)
  return { ...value, cells: value.cells }
}

/** Replaces the file, with what else is known of its cells. */
export const writeCellFile = <T>(path: string, { format, version }: CellFormat<T>, cells: readonly T[], more: object = {}): Promise<void> =>
  writeAtomic(path, `${JSON.stringify({ format, version, cells, ...more }, null, 1)}\n`)
