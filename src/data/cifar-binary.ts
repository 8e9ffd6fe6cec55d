/** @file The binary CIFAR records: label bytes, then 3072 pixel bytes in CHW order. The Python versions are refused unread. */
import { join } from 'node:path'
import { AludelError } from '../errors.js'
import { allocate, exists, fileSize, invalidFile, isPickle, maxFileBytes, readText, readWhole } from './file-bytes.js'

const side = 32
const channels = 3
const pixels = side * side
const imageBytes = channels * pixels

export interface CifarLayout {
  /** Folder inside the unpacked archive. */
  readonly nested: string
  /** Folder of the Python version, which is told apart to be refused. */
  readonly pickled: string
  /** Bytes in front of the pixels, and which of them is the label. */
  readonly labelBytes: number
  readonly labelAt: number
  /** What to get. */
  readonly hint: string
}

export interface CifarImages {
  readonly images: Uint8Array
  readonly shape: readonly [number, number, number, number]
  readonly labels: Int32Array
}

/** The directory of the files: `dir` or the folder of the archive inside it. */
export async function cifarRoot(dir: string, { nested }: CifarLayout): Promise<string> {
  const inner = join(dir, nested)
  return (await exists(inner)) ? inner : dir
}

/** All records of `names` (without `.bin`) in order; labels are checked to be below `classes`. */
export async function readRecords(root: string, names: readonly string[], classes: number, layout: CifarLayout): Promise<CifarImages> {
  // in order, so that of several bad files it is always the first that is named
  const batches: Batch[] = []
  for (const name of names) batches.push(await locateBatch(root, name, layout))
  const n = batches.reduce((count, { records }) => count + records, 0)
  const images = allocate(root, n * imageBytes)
  const labels = new Int32Array(n)
  let row = 0
  // one file at a time: the raw bytes of all batches are never in memory together
  for (const batch of batches) {
    decodeBatch(batch.path, await readBatch(batch, layout), { classes, images, labels, row }, layout)
    row += batch.records
  }
  return { images, shape: [n, side, side, channels], labels }
}

interface Batch {
  readonly path: string
  /** Whole records by the file's size; what the file really holds is checked when it is read. */
  readonly records: number
}

const recordBytes = ({ labelBytes }: CifarLayout): number => labelBytes + imageBytes

async function locateBatch(dir: string, name: string, layout: CifarLayout): Promise<Batch> {
  const path = join(dir, `${name}.bin`)
  if (await exists(path)) return { path, records: Math.floor((await fileSize(path)) / recordBytes(layout)) }
  const pickled = (await exists(join(dir, name))) || (await exists(join(dir, layout.pickled)))
  if (pickled) throw invalidFile(join(dir, name), `Python pickles are never read, they can run code; ${layout.hint}`)
  throw new AludelError('not_found', `${path}: no such file; ${layout.hint}`)
}

async function readBatch({ path, records }: Batch, layout: CifarLayout): Promise<Uint8Array> {
  const bytes = await readWhole(path, maxFileBytes)
  // read as a label, its first byte would be class 128
  if (isPickle(bytes)) {
    throw invalidFile(path, `this is a Python pickle, which is never read, as it can run code; ${layout.hint}`)
  }
  const record = recordBytes(layout)
  if (records < 1 || bytes.length !== records * record) {
    throw invalidFile(path, `expected a multiple of ${record} bytes (whole records) but received ${bytes.length}`)
  }
  return bytes
}

interface Target {
  readonly classes: number
  readonly images: Uint8Array
  readonly labels: Int32Array
  /** First row of the batch. */
  readonly row: number
}

function decodeBatch(path: string, batch: Uint8Array, { classes, images, labels, row }: Target, layout: CifarLayout): void {
  const record = recordBytes(layout)
  for (let r = 0; r * record < batch.length; r++) {
    const label = batch[r * record + layout.labelAt]
    if (label >= classes) throw invalidFile(path, `record ${r}: expected a class in [0, ${classes}) but received ${label}`)
    labels[row + r] = label
    const base = (row + r) * imageBytes
    for (let c = 0; c < channels; c++) {
      const plane = r * record + layout.labelBytes + c * pixels
      for (let p = 0; p < pixels; p++) images[base + p * channels + c] = batch[plane + p]
    }
  }
}

/** Names from a file of the archive, one a line; `names` where there is none. */
export async function readClassNames(path: string, names: readonly string[]): Promise<readonly string[]> {
  if (!(await exists(path))) return names
  const listed = (await readText(path, 16384))
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
  if (listed.length !== names.length) throw invalidFile(path, `expected ${names.length} class names but received ${listed.length}`)
  return listed
}
