/** @file manifest.json: what a synthetic set is, where it came from, the hash of every file beside it and its own. No dates, no host: equal runs, equal bytes. */
import { createHash } from 'node:crypto'
import { isRecord } from '../arguments.js'
import { expected } from '../errors.js'
import { checkFields, type FieldRules, isConfig, isNumber, isNumbers, isTexts } from './json-fields.js'
import { checkSeal, encodeSealed, parseRecord } from './sealed-json.js'
import type { RunConfig } from './types.js'

export const manifestFormat = 'aludel-synthetic-set'
export const manifestVersion = 1

export interface FileEntry {
  readonly bytes: number
  readonly sha256: string
}

export interface Manifest {
  readonly format: typeof manifestFormat
  readonly version: typeof manifestVersion
  /** In label order. */
  readonly classes: readonly string[]
  readonly images: { readonly dtype: 'F32'; readonly layout: 'NCHW'; readonly shape: readonly number[]; readonly normalised: true }
  readonly mean: readonly number[]
  readonly std: readonly number[]
  readonly flip: boolean
  readonly source: { readonly name: string; readonly split: string; readonly sha256: string }
  readonly config: RunConfig
  readonly seeds: { readonly run: number | null }
  /** The whitening that the images are under: its rule, its identity, and its file among `files`; absent or null without one. */
  readonly zca?: { readonly file: string; readonly order: string; readonly eps: number; readonly sha256: string } | null
  /** Of tensor `label_logits`, what the images' labels are beside their classes; absent where the set has none. */
  readonly labelLogits?: { readonly dtype: 'F32'; readonly shape: readonly [images: number, classes: number] }
  /** Of tensor `targets`, what a network is to answer by squared errors; absent where the set has none. */
  readonly targets?: { readonly dtype: 'F32'; readonly shape: readonly [images: number, classes: number] }
  /** The learned learning rate, the value of tensor `lr`; absent where none was learned. */
  readonly learningRate?: number
  /** Row of the source each image started from, -1 for none; null when no image has one. */
  readonly sourceIds: readonly number[] | null
  readonly files: Readonly<Record<string, FileEntry>>
}

export const fileEntry = (bytes: Uint8Array): FileEntry => ({
  bytes: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
})

export const encodeManifest = (manifest: Manifest): string => encodeSealed(manifest)

const isRow = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= -1 && (value as number) < 2 ** 31
export const isSource = (value: unknown): boolean => isRecord(value) && isTexts([value.name, value.split, value.sha256])
const isEntry = (value: unknown): boolean => isRecord(value) && Number.isSafeInteger(value.bytes) && typeof value.sha256 === 'string'

/** What each field must be; the first that is not is named in the error. */
const rules: FieldRules<Manifest> = [
  ['format', `'${manifestFormat}'`, (value) => value === manifestFormat],
  ['version', `${manifestVersion}`, (value) => value === manifestVersion],
  ['classes', 'a list of at least one class name', (value) => isTexts(value) && value.length > 0],
  ['images', 'dtype F32, layout NCHW and four dimensions', isImages],
  ['mean', 'a list of numbers', isNumbers],
  ['std', 'a list of positive numbers', (value) => isNumbers(value) && value.every((s) => s > 0)],
  ['flip', 'true or false', (value) => typeof value === 'boolean'],
  ['source', 'name, split and sha256', isSource],
  ['config', 'settings by name', isConfig],
  ['seeds', 'an object', isRecord],
  ['sourceIds', 'a list of rows >= -1 or null', (value) => value === null || (Array.isArray(value) && value.every(isRow))],
  ['zca', 'file, order, eps and sha256, or null', (value) => value === undefined || value === null || isZca(value)],
  ['labelLogits', 'dtype F32 and shape [images, classes]', (value) => value === undefined || isLogits(value)],
  ['targets', 'dtype F32 and shape [images, classes]', (value) => value === undefined || isLogits(value)],
  ['learningRate', 'a number > 0', (value) => value === undefined || (isNumber(value) && value > 0)],
  ['files', 'bytes and sha256 of each file', (value) => isRecord(value) && Object.values(value).every(isEntry)],
]

const isZca = (value: unknown): boolean =>
  isRecord(value) && isTexts([value.file, value.order, value.sha256]) && typeof value.eps === 'number'

const isLogits = (value: unknown): boolean => isRecord(value) && value.dtype === 'F32' && isNumbers(value.shape) && value.shape.length === 2

function isImages(value: unknown): boolean {
  if (!isRecord(value) || value.dtype !== 'F32' || value.layout !== 'NCHW') return false
  return isNumbers(value.shape) && value.shape.length === 4 && value.shape.every((d) => Number.isSafeInteger(d) && d >= 1)
}

/** Of sets of representations. */
const unlabelledFormat = 'aludel-representations'

/** Parses and checks the text of a manifest: fields first, then its own hash. Throws `invalid_data` naming the file and the field. */
export function decodeManifest(path: string, text: string): Manifest {
  const value = parseRecord(path, text)
  if (value.format === unlabelledFormat)
    throw expected(
      'invalid_data',
      path,
      `a set with class labels ('${manifestFormat}')`,
      unlabelledFormat,
      'aludel transfer measures those',
    )
  checkFields(path, value, rules)
  checkSeal(path, text)
  return value as unknown as Manifest
}
