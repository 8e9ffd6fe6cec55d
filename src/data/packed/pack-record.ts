/** @file SPLIT.json of a pack: the sealed record beside a split's pixel file that says everything but the pixels. */
import { join } from 'node:path'
import { isRecord } from '../../arguments.js'
import { AludelError, expected } from '../../errors.js'
import { checkFields, type FieldRules, isCount, isNumbers, isText, isTexts } from '../../experiment/json-fields.js'
import { checkSeal, encodeSealed, parseRecord } from '../../experiment/sealed-json.js'
import { writeAtomic } from '../../files/atomic-file.js'
import type { Split, UnreadableFile } from '../dataset.js'
import { exists, readText } from '../file-bytes.js'

export const packFormat = 'aludel-pack'
export const packVersion = 1

/** Bytes of the pixel file that share a hash, but for the last. */
export const pieceBytes = 1 << 24

export interface PackRecord {
  readonly format: typeof packFormat
  readonly version: typeof packVersion
  /** Name of the data set that was packed. */
  readonly name: string
  readonly split: Split
  /** Empty where the images have no labels, as `labels` is. */
  readonly classes: readonly string[]
  /** [N, H, W, C] of the pixel file, bytes without a header. */
  readonly shape: readonly [number, number, number, number]
  /** Runs of equal labels in row order: [class, rows]. */
  readonly labels: readonly (readonly [number, number])[]
  readonly mean: readonly number[]
  readonly std: readonly number[]
  readonly flip: boolean
  /** Identity of the content: that of the same images in memory. */
  readonly contentSha256: string
  /** Identity of the image files; null where the data came in another form. */
  readonly filesSha256: string | null
  /** What files were packed in which order; null where the data came in another form. */
  readonly listing: string | null
  /** Image files that were left out. */
  readonly unreadable: readonly UnreadableFile[]
  /** How the images were made: size and fit (null: as they were), and the decoder; null where nothing was decoded. */
  readonly decoding: { readonly size: number | null; readonly fit: string | null; readonly decoder: string } | null
  readonly pieceBytes: number
  /** SHA-256 (hex) of each piece of the pixel file. */
  readonly pieces: readonly string[]
}

export const recordPath = (dir: string, split: Split): string => join(dir, `${split}.json`)
export const pixelPath = (dir: string, split: Split): string => join(dir, `${split}.u8`)

/** Runs of equal labels. */
export function labelRuns(labels: Int32Array): [number, number][] {
  const runs: [number, number][] = []
  for (const label of labels) {
    const last = runs[runs.length - 1]
    if (last?.[0] === label) last[1]++
    else runs.push([label, 1])
  }
  return runs
}

export function labelsOf({ labels, shape, classes }: PackRecord): Int32Array {
  const all = new Int32Array(classes.length === 0 ? 0 : shape[0])
  let row = 0
  for (const [label, count] of labels) {
    all.fill(label, row, row + count)
    row += count
  }
  return all
}

const isHash = (value: unknown): boolean => isText(value) && /^[0-9a-f]{64}$/.test(value)
const isShape = (value: unknown): boolean =>
  Array.isArray(value) && value.length === 4 && value.every((d) => isCount(d) && d >= 1) && value[0] < 2 ** 31

const isUnreadable = (value: unknown): boolean => isRecord(value) && isCount(value.row) && isText(value.path) && isText(value.reason)

const isDecoding = (value: unknown): boolean =>
  isRecord(value) && (value.size === null || isCount(value.size)) && (value.fit === null || isText(value.fit)) && isText(value.decoder)

const rules: FieldRules<PackRecord> = [
  ['format', `'${packFormat}'`, (value) => value === packFormat],
  ['version', `${packVersion}`, (value) => value === packVersion],
  ['name', 'a text', isText],
  ['split', "'train' or 'test'", (value) => value === 'train' || value === 'test'],
  ['classes', 'a list of class names', isTexts],
  ['shape', 'four whole numbers [N, H, W, C]', isShape],
  ['labels', 'runs [class, rows]', (value) => Array.isArray(value) && value.every((run) => Array.isArray(run) && run.length === 2)],
  ['mean', 'numbers', isNumbers],
  ['std', 'numbers', isNumbers],
  ['flip', 'true or false', (value) => typeof value === 'boolean'],
  ['contentSha256', 'a SHA-256', isHash],
  ['filesSha256', 'a SHA-256 or null', (value) => value === null || isHash(value)],
  ['listing', 'a SHA-256 or null', (value) => value === null || isHash(value)],
  ['unreadable', 'a list of files with row, path and reason', (value) => Array.isArray(value) && value.every(isUnreadable)],
  ['decoding', 'size, fit and decoder, or null', (value) => value === null || isDecoding(value)],
  ['pieceBytes', 'a whole number >= 1', (value) => isCount(value) && value >= 1],
  ['pieces', 'a list of SHA-256', (value) => Array.isArray(value) && value.every(isHash)],
]

const maxRecordBytes = 256 << 20

/** The record of a split. Throws `not_found` when the pack has no such split, `invalid_data` naming file and field. */
export async function readPackRecord(dir: string, split: Split): Promise<PackRecord> {
  const path = recordPath(dir, split)
  if (!(await exists(path))) {
    const todo = 'give a directory that `aludel pack` has finished; the same command goes on with one that was interrupted'
    throw new AludelError('not_found', `${path}: no pack with ${split === 'train' ? 'training' : 'test'} images; ${todo}`)
  }
  const text = await readText(path, maxRecordBytes)
  const value = parseRecord(path, text)
  checkFields(path, value, rules)
  checkSeal(path, text)
  const record = value as unknown as PackRecord
  checkRuns(path, record)
  const pieces = Math.ceil(bytesOfPack(record) / record.pieceBytes)
  if (record.pieces.length !== pieces) throw expected('invalid_data', `${path}: field 'pieces'`, `${pieces} hashes`, record.pieces.length)
  return record
}

function checkRuns(path: string, { labels, classes, shape }: PackRecord): void {
  const whole = labels.every(([label, count]) => isCount(label) && label < classes.length && isCount(count) && count >= 1)
  const rows = whole ? labels.reduce((sum, [, count]) => sum + count, 0) : Number.NaN
  const wanted = classes.length === 0 ? 0 : shape[0]
  if (rows !== wanted)
    throw new AludelError('invalid_data', `${path}: field 'labels': expected runs [class, rows] of ${wanted} rows in all`)
}

export const bytesOfPack = ({ shape }: Pick<PackRecord, 'shape'>): number => shape.reduce((product, d) => product * d, 1)

export const writePackRecord = (dir: string, record: PackRecord): Promise<void> =>
  writeAtomic(recordPath(dir, record.split), encodeSealed(record))
