/** @file What a store of experts says of itself: experts.json for all of them, expert-0003.json for one that is finished. Both carry their own hash. */
import { join } from 'node:path'
import { checkPath, isRecord } from '../arguments.js'
import { readText } from '../data/file-bytes.js'
import { expected } from '../errors.js'
import { checkFields, type FieldRules, isConfig, isCount, isNumber, isNumbers, isText, isTexts } from '../experiment/json-fields.js'
import { checkSeal, encodeSealed, parseRecord, sealOf } from '../experiment/sealed-json.js'
import type { RunConfig } from '../experiment/types.js'
import { writeAtomic, writeShared } from '../files/atomic-file.js'

export const expertsFormat = 'aludel-experts'
export const expertFormat = 'aludel-expert'
export const expertsVersion = 1
const maxRecordBytes = 2 ** 26

/** The images that experts are trained on. */
export interface ExpertsData {
  readonly name: string
  readonly split: string
  /** Content hash, `dataset.sha256`: of the bytes before any whitening. */
  readonly sha256: string
  readonly samples: number
}

export interface ExpertsRecord {
  readonly format: typeof expertsFormat
  readonly version: typeof expertsVersion
  /** Registry name. */
  readonly network: string
  /** [H, W, C] */
  readonly image: readonly [number, number, number]
  readonly classes: readonly string[]
  readonly data: ExpertsData
  /** Per channel, of pixels in [0, 1]: what images are normalised by. */
  readonly mean: readonly number[]
  readonly std: readonly number[]
  /** Hash of the record of the subset that the images were taken by; absent for all images. */
  readonly subsetSha256?: string
  /** The ZCA whitening of the images; absent without one. */
  readonly zca?: { readonly order: string; readonly eps: number; readonly sha256: string }
  /** Scalars of one network: the length of a checkpoint. */
  readonly parameters: number
  /** Epochs that every expert is trained for. */
  readonly epochs: number
  /** Epochs whose parameters are stored, ascending; 0 is the initialisation, e what is reached after e epochs. */
  readonly kept: readonly number[]
  /** Experts planned; those that are finished have a record of their own. */
  readonly experts: number
  /** Optimiser, learning rate, batch, augmentation and seed, resolved. */
  readonly config: RunConfig
  /** Which rows every epoch trains on: `name`, 'none' for all, and the settings of the schedule. */
  readonly schedule: RunConfig
  /** What the bits depend on beside the settings: instruction set, of a GPU the precision too. */
  readonly arithmetic: RunConfig
  /** The data as the user named it, for a continuation; null where it has no name. */
  readonly specification: string | null
}

/** One finished expert. */
export interface ExpertRecord {
  readonly format: typeof expertFormat
  readonly version: typeof expertsVersion
  /** Its number in the store, from 0. */
  readonly expert: number
  /** `settingsOf` the store that it was trained for. */
  readonly settings: string
  /** Epochs in the file, ascending, and the SHA-256 of the parameters of each. */
  readonly epochs: readonly number[]
  readonly hashes: readonly string[]
  /** Mean cross-entropy and accuracy in per cent on the augmented training images, of each epoch of the training. */
  readonly losses: readonly number[]
  readonly accuracies: readonly number[]
}

const isHash = (value: unknown): boolean => isText(value) && /^[0-9a-f]{64}$/.test(value)
const isSize = (value: unknown): boolean => isCount(value) && value > 0
const isAscending = (value: unknown): boolean =>
  Array.isArray(value) && value.length > 0 && value.every((epoch, i) => isCount(epoch) && (i === 0 || epoch > value[i - 1]))
const isData = (value: unknown): boolean =>
  isRecord(value) && isTexts([value.name, value.split]) && isHash(value.sha256) && isSize(value.samples)
const isZca = (value: unknown): boolean =>
  value === undefined || (isRecord(value) && isText(value.order) && isNumber(value.eps) && isHash(value.sha256))
const isFlat = (value: unknown): boolean => isRecord(value) && isConfig(value)

const rules: FieldRules<ExpertsRecord> = [
  ['format', `'${expertsFormat}'`, (value) => value === expertsFormat],
  ['version', `${expertsVersion}`, (value) => value === expertsVersion],
  ['network', 'a name', isText],
  ['image', '[H, W, C]', (value) => Array.isArray(value) && value.length === 3 && value.every(isSize)],
  ['classes', 'a list of class names', isTexts],
  ['data', 'name, split, sha256 and samples', isData],
  ['mean', 'numbers', isNumbers],
  ['std', 'numbers', isNumbers],
  ['subsetSha256', 'a hash or nothing', (value) => value === undefined || isHash(value)],
  ['zca', 'order, eps and sha256, or nothing', isZca],
  ['parameters', 'a whole number >= 1', isSize],
  ['epochs', 'a whole number >= 1', isSize],
  ['kept', 'ascending epochs', isAscending],
  ['experts', 'a whole number >= 1', isSize],
  ['config', 'settings', isFlat],
  ['schedule', 'settings with a name', (value) => isFlat(value) && isText((value as RunConfig).name)],
  ['arithmetic', 'settings', isFlat],
  ['specification', 'a text or null', (value) => value === null || isText(value)],
]

const expertRules: FieldRules<ExpertRecord> = [
  ['format', `'${expertFormat}'`, (value) => value === expertFormat],
  ['version', `${expertsVersion}`, (value) => value === expertsVersion],
  ['expert', 'a whole number >= 0', isCount],
  ['settings', 'a hash', isHash],
  ['epochs', 'ascending epochs', isAscending],
  ['hashes', 'a hash for each epoch', (value) => Array.isArray(value) && value.every(isHash)],
  ['losses', 'numbers', isNumbers],
  ['accuracies', 'numbers', isNumbers],
]

export const recordPath = (dir: string): string => join(dir, 'experts.json')
const numbered = (expert: number): string => `expert-${String(expert).padStart(4, '0')}`
/** Checkpoints of one expert, and its record. */
export const checkpointsPath = (dir: string, expert: number): string => join(dir, `${numbered(expert)}.safetensors`)
export const expertRecordPath = (dir: string, expert: number): string => join(dir, `${numbered(expert)}.json`)

/** Hash of everything that experts of one store have in common: neither trimming it nor adding experts changes it. */
export function settingsOf(record: ExpertsRecord): string {
  const { kept: _, specification: __, experts: ___, ...settings } = record
  return sealOf(settings)
}

/** Writes experts.json; processes that do so at once leave one of their files, whole. Throws `io`. */
export function writeRecord(dir: string, record: ExpertsRecord): Promise<void> {
  const bytes = new TextEncoder().encode(encodeSealed(record))
  return writeShared(recordPath(dir), bytes, bytes.length)
}

/** For who alone works on that expert: what a death leaves behind is overwritten by the next who does. Throws `io`. */
export const writeExpertRecord = (dir: string, record: ExpertRecord): Promise<void> =>
  writeAtomic(expertRecordPath(dir, record.expert), encodeSealed(record))

/** Reads and verifies experts.json; `sha256` is its `settingsOf`. Throws `not_found`, `invalid_data` naming the field that is not what it must be, `io`. */
export async function readRecord(dir: string): Promise<{ readonly record: ExpertsRecord; readonly sha256: string }> {
  checkPath('experts', dir)
  const record = await readSealed(recordPath(dir), rules, 'give a directory that aludel experts wrote')
  if ((record.kept.at(-1) as number) > record.epochs)
    throw expected('invalid_data', `${recordPath(dir)}: field 'kept'`, `epochs up to ${record.epochs}`, record.kept)
  return { record, sha256: settingsOf(record) }
}

/** Reads and verifies the record of one expert of the store. Throws `not_found`, `invalid_data`, `incompatible` for that of another store, `io`. */
export async function readExpertRecord(dir: string, expert: number, store: ExpertsRecord): Promise<ExpertRecord> {
  const path = expertRecordPath(dir, expert)
  const record = await readSealed(path, expertRules, 'it is not finished')
  if (record.expert !== expert) throw expected('invalid_data', `${path}: field 'expert'`, `${expert}`, record.expert)
  if (record.hashes.length !== record.epochs.length)
    throw expected('invalid_data', `${path}: field 'hashes'`, `${record.epochs.length} hashes`, record.hashes.length)
  const settings = settingsOf(store)
  if (record.settings !== settings) {
    const todo = `it was trained for another store; remove it and continue with: aludel experts --resume ${dir}`
    throw expected('incompatible', `${path}: settings`, `those of ${recordPath(dir)} (sha256 ${settings})`, record.settings, todo)
  }
  return record
}

async function readSealed<T>(path: string, rules: FieldRules<T>, todo: string): Promise<T> {
  const text = await readText(path, maxRecordBytes, todo)
  const value = parseRecord(path, text)
  checkFields(path, value, rules)
  checkSeal(path, text)
  return value as unknown as T
}
