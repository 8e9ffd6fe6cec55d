/** @file The identity of image files, whatever they are decoded to: classes, names and contents in row order. */
import { createHash } from 'node:crypto'
import { Turn } from '../event-loop.js'

/** SHA-256 (hex) of the file of a row; undefined for one that was left out. */
export type HashOfRow = (row: number) => string | undefined

/** Files of a split, by row. */
export interface ListedFiles {
  readonly classes: readonly string[]
  /** Paths below the folder of the class. */
  readonly names: readonly string[]
  readonly labels: Int32Array
}

/**
 * SHA-256 (hex) over the class names and, row after row, label, name and SHA-256 of each file's bytes. A row without a hash does not
 * count, as if the file were not there.
 */
export async function filesHash({ classes, names, labels }: ListedFiles, hashOf: HashOfRow): Promise<string> {
  const hash = createHash('sha256').update(`${JSON.stringify(classes)}\n`)
  const turn = new Turn()
  for (let row = 0; row < names.length; row++) {
    if (row % 256 === 0) await turn.breathe()
    const own = hashOf(row)
    if (own !== undefined) hash.update(`${JSON.stringify([labels[row], names[row], own])}\n`)
  }
  return hash.digest('hex')
}
