/** @file What was measured, cell by cell, kept in a file that a later call goes on with: nothing that is done is done again. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { isRecord } from '../arguments.js'
import { exists, readText } from '../data/file-bytes.js'
import { AludelError } from '../errors.js'
import { prepareDirectory, writeAtomic } from '../files/atomic-file.js'
import type { TransferProtocol } from './settings.js'
import type { TransferSource } from './source.js'

/** One network, pretrained once and measured once. */
export interface TransferCell {
  readonly network: string
  readonly source: TransferSource
  readonly target: string
  readonly protocol: TransferProtocol
  /** Number of the repetition, from 0. */
  readonly repeat: number
  /** Of the test images, in per cent. */
  readonly accuracy: number
  /** Loss of the last step of pretraining; null for a network that was not pretrained. */
  readonly pretrainLoss: number | null
  /** Labelled images that the protocol trained on. */
  readonly labelled: number
  readonly seconds: number
  /** Hash of everything the cell depends on. */
  readonly key: string
}

export interface CellStore {
  /** The cell of that key, if it was measured before. */
  find(key: string): TransferCell | undefined
  add(cell: TransferCell): Promise<void>
}

export const transferFile = 'transfer.json'
const format = 'aludel-transfer'
const version = 1
const mostBytes = 256 << 20

export const keyOfCell = (depends: object): string => createHash('sha256').update(JSON.stringify(depends)).digest('hex')

export const hashOfFloats = (...arrays: readonly Float32Array[]): string => {
  const hash = createHash('sha256')
  for (const { buffer, byteOffset, byteLength } of arrays) hash.update(new Uint8Array(buffer, byteOffset, byteLength))
  return hash.digest('hex')
}

/** The cells in transfer.json of `dir`; none where there is no file. Throws `invalid_data` for a file that is none of ours. */
export async function readCells(dir: string): Promise<TransferCell[]> {
  const path = join(dir, transferFile)
  if (!(await exists(path))) return []
  let value: unknown
  try {
    value = JSON.parse(await readText(path, mostBytes))
  } catch (cause) {
    throw new AludelError('invalid_data', `${path}: not JSON (${(cause as Error).message})`, { cause })
  }
  if (!isRecord(value) || value.format !== format || value.version !== version || !Array.isArray(value.cells) || !value.cells.every(isCell))
    throw new AludelError('invalid_data', `${path}: expected the results of aludel transfer; move the file away or give another --out`)
  return value.cells
}

const isCell = (cell: unknown): cell is TransferCell =>
  isRecord(cell) &&
  ['network', 'source', 'target', 'protocol', 'key'].every((name) => typeof cell[name] === 'string') &&
  ['repeat', 'accuracy', 'labelled', 'seconds'].every((name) => typeof cell[name] === 'number' && Number.isFinite(cell[name])) &&
  (cell.pretrainLoss === null || typeof cell.pretrainLoss === 'number')

/** The store of a directory, which is made; each cell is on the disk before the next one begins. */
export async function openCells(dir: string): Promise<CellStore & { readonly cells: readonly TransferCell[] }> {
  const cells = await readCells(dir)
  await prepareDirectory(dir)
  const byKey = new Map(cells.map((cell) => [cell.key, cell]))
  return {
    cells,
    find: (key) => byKey.get(key),
    async add(cell) {
      byKey.set(cell.key, cell)
      cells.push(cell)
      await writeAtomic(join(dir, transferFile), new TextEncoder().encode(`${JSON.stringify({ format, version, cells }, null, 1)}\n`))
    },
  }
}
