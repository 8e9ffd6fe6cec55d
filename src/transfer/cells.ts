/** @file What was measured, cell by cell, kept in a file that a later call goes on with: nothing that is done is done again. */
import { join } from 'node:path'
import { isRecord } from '../arguments.js'
import { type CellFormat, readCellFile, writeCellFile } from '../experiment/cell-file.js'
import { prepareDirectory } from '../files/atomic-file.js'
import { bytesOf, hashOfParts } from '../files/pieces.js'
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
  /** Hash of the set; absent in cells of earlier versions. */
  readonly set?: string
  /** Hash of all that cells of one row have in common: set, target, settings, seed. Cells of another are no repetitions of these. */
  readonly setup?: string
  /** Hash of the settings of pretraining; absent for a network that was not pretrained. */
  readonly pretraining?: string
}

export interface CellStore {
  /** The cell of that key, if it was measured before. */
  find(key: string): TransferCell | undefined
  add(cell: TransferCell): Promise<void>
}

export const transferFile = 'transfer.json'

const isCell = (cell: unknown): cell is TransferCell =>
  isRecord(cell) &&
  ['network', 'source', 'target', 'protocol', 'key'].every((name) => typeof cell[name] === 'string') &&
  [cell.set, cell.setup, cell.pretraining].every((hash) => hash === undefined || typeof hash === 'string') &&
  ['repeat', 'accuracy', 'labelled', 'seconds'].every((name) => typeof cell[name] === 'number' && Number.isFinite(cell[name])) &&
  (cell.pretrainLoss === null || typeof cell.pretrainLoss === 'number')

const format: CellFormat<TransferCell> = { format: 'aludel-transfer', version: 1, command: 'aludel transfer', isCell }

/** SHA-256 of arrays of any size, without holding the event loop. */
export const hashOfFloats = (...arrays: readonly Float32Array[]): Promise<string> => hashOfParts('', arrays.map(bytesOf))

/** What tells sets apart. */
export const setHash = ({ images, targets }: { readonly images: Float32Array; readonly targets: Float32Array }): Promise<string> =>
  hashOfFloats(images, targets)

/** The cells in transfer.json of `dir`; none where there is no file. Throws `invalid_data` for a file that is none of ours. */
export const readCells = (dir: string): Promise<TransferCell[]> => readCellFile(join(dir, transferFile), format)

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
      await writeCellFile(join(dir, transferFile), format, cells)
    },
  }
}
