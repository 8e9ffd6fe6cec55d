/** @file manifest.json: what a synthetic set is, where it came from, the hash of every file beside it and its own. No dates, no host: equal runs, equal bytes. */
import { createHash } from 'node:crypto'
import { AludelError } from '../errors.js'
import { checkSeal, encodeSealed, isRecord, parseRecord } from './sealed-json.js'
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
  /** Row of the source each image started from, -1 for none; null when no image has one. */
  readonly sourceIds: readonly number[] | null
  readonly files: Readonly<Record<string, FileEntry>>
}

export const fileEntry = (bytes: Uint8Array): FileEntry => ({
  bytes: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
})

export const encodeManifest = (manifest: Manifest): string => encodeSealed(manifest)

const isNumbers = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((n) => typeof n === 'number' && Number.isFinite(n))
const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every((s) => typeof s === 'string')
const isEntry = (value: unknown): boolean => isRecord(value) && Number.isSafeInteger(value.bytes) && typeof value.sha256 === 'string'

/** What each field must be; the first that is not is named in the error. */
const checks: readonly (readonly [keyof Manifest, string, (value: unknown) => boolean])[] = [
  ['format', `'${manifestFormat}'`, (value) => value === manifestFormat],
  ['version', `${manifestVersion}`, (value) => value === manifestVersion],
  ['classes', 'a list of at least one class name', (value) => isTexts(value) && value.length > 0],
  ['images', 'dtype F32, layout NCHW and four dimensions', isImages],
  ['mean', 'a list of numbers', isNumbers],
  ['std', 'a list of positive numbers', (value) => isNumbers(value) && value.every((s) => s > 0)],
  ['flip', 'true or false', (value) => typeof value === 'boolean'],
  ['source', 'name, split and sha256', (value) => isRecord(value) && isTexts([value.name, value.split, value.sha256])],
  ['config', 'an object', isRecord],
  ['seeds', 'an object', isRecord],
  ['sourceIds', 'a list of numbers or null', (value) => value === null || isNumbers(value)],
  ['files', 'bytes and sha256 of each file', (value) => isRecord(value) && Object.values(value).every(isEntry)],
]

function isImages(value: unknown): boolean {
  if (!isRecord(value) || value.dtype !== 'F32' || value.layout !== 'NCHW') return false
  return isNumbers(value.shape) && value.shape.length === 4 && value.shape.every((d) => Number.isSafeInteger(d) && d >= 1)
}

/** Parses and checks the text of a manifest: fields first, then its own hash. Throws `invalid_data` naming the file and the field. */
export function decodeManifest(path: string, text: string): Manifest {
  const value = parseRecord(path, text)
  for (const [field, wanted, holds] of checks) {
    if (!holds(value[field])) {
      const received = JSON.stringify(value[field])?.slice(0, 80)
      throw new AludelError('invalid_data', `${path}: field '${field}': expected ${wanted} but received ${received}`)
    }
  }
  checkSeal(path, text)
  return value as unknown as Manifest
}
