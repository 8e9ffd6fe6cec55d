/** @file manifest.json of a set of images with target representations: what it is, which teacher answered, how real images are normalised beside it. */
import { isRecord } from '../arguments.js'
import { expected } from '../errors.js'
import { checkFields, type FieldRules, isConfig, isCount, isNumbers, isText, isTexts } from './json-fields.js'
import { type FileEntry, isSource, manifestFormat } from './manifest.js'
import { checkSeal, encodeSealed, parseRecord } from './sealed-json.js'
import type { RunConfig } from './types.js'

export const representationFormat = 'aludel-representations'
export const representationVersion = 1

/** 'raw': the images began as pixels in [0, 1] and networks see them as they are; 'normalised': they began as (pixel - mean) / std. */
export const initSpaces = ['raw', 'normalised'] as const
export type InitSpace = (typeof initSpaces)[number]

/** Who gave the target representations. */
export interface TeacherIdentity {
  readonly name: string
  /** What it was trained by, such as 'barlow-twins'. */
  readonly objective: string
  /** Numbers of one representation. */
  readonly dim: number
  /** Identity of its weights, hex. */
  readonly sha256: string
}

export interface RepresentationManifest {
  readonly format: typeof representationFormat
  readonly version: typeof representationVersion
  readonly images: { readonly dtype: 'F32'; readonly layout: 'NCHW'; readonly shape: readonly number[] }
  readonly targets: { readonly dtype: 'F32'; readonly shape: readonly number[] }
  readonly initSpace: InitSpace
  readonly mean: readonly number[]
  readonly std: readonly number[]
  readonly teacher: TeacherIdentity
  readonly source: { readonly name: string; readonly split: string; readonly sha256: string }
  readonly config: RunConfig
  readonly seeds: { readonly run: number | null }
  /** Row of the source each image started from; null where that is not known. */
  readonly sourceIds: readonly number[] | null
  readonly files: Readonly<Record<string, FileEntry>>
}

export const encodeRepresentationManifest = (manifest: RepresentationManifest): string => encodeSealed(manifest)

export const isTeacherIdentity = (value: unknown): boolean =>
  isRecord(value) && isTexts([value.name, value.objective, value.sha256]) && isCount(value.dim) && value.dim > 0

const isTensor = (value: unknown, dimensions: number): boolean =>
  isRecord(value) && value.dtype === 'F32' && isNumbers(value.shape) && value.shape.length === dimensions && value.shape.every(isSize)

const isSize = (value: unknown): boolean => isCount(value) && value >= 1
const isRow = (value: unknown): boolean => isCount(value) && value < 2 ** 31
const isEntry = (value: unknown): boolean => isRecord(value) && isCount(value.bytes) && isText(value.sha256)

const rules: FieldRules<RepresentationManifest> = [
  ['format', `'${representationFormat}'`, (value) => value === representationFormat],
  ['version', `${representationVersion}`, (value) => value === representationVersion],
  ['images', 'dtype F32, layout NCHW and four dimensions', (value) => isTensor(value, 4) && isRecord(value) && value.layout === 'NCHW'],
  ['targets', 'dtype F32 and two dimensions', (value) => isTensor(value, 2)],
  ['initSpace', initSpaces.map((name) => `'${name}'`).join(' or '), (value) => initSpaces.some((name) => name === value)],
  ['mean', 'a list of numbers', isNumbers],
  ['std', 'a list of positive numbers', (value) => isNumbers(value) && value.every((s) => s > 0)],
  ['teacher', 'name, objective, dim and sha256', isTeacherIdentity],
  ['source', 'name, split and sha256', isSource],
  ['config', 'settings by name', isConfig],
  ['seeds', 'an object', isRecord],
  ['sourceIds', 'a list of rows or null', (value) => value === null || (Array.isArray(value) && value.every(isRow))],
  ['files', 'bytes and sha256 of each file', (value) => isRecord(value) && Object.values(value).every(isEntry)],
]

/** Parses and checks the text of a manifest: fields first, then its own hash. Throws `invalid_data` naming the file and the field. */
export function decodeRepresentationManifest(path: string, text: string): RepresentationManifest {
  const value = parseRecord(path, text)
  if (value.format === manifestFormat)
    throw expected(
      'invalid_data',
      path,
      `a set of representations ('${representationFormat}')`,
      manifestFormat,
      'aludel evaluate measures those',
    )
  checkFields(path, value, rules)
  checkSeal(path, text)
  return value as unknown as RepresentationManifest
}
