/** @file sweep.json: runs of one method on different parts of the data, with the accuracies of each; written after every run. */
import { join } from 'node:path'
import { checkPath, isRecord } from '../arguments.js'
import { readText } from '../data/file-bytes.js'
import { AludelError } from '../errors.js'
import { writeAtomic } from '../files/atomic-file.js'
import { checkFields, type FieldRules, isCount, isNumber, isNumbers, isText } from './json-fields.js'
import { isResult } from './run-record.js'
import { checkSeal, encodeSealed, parseRecord } from './sealed-json.js'
import type { EvaluationResult } from './types.js'

export const sweepFile = 'sweep.json'
export const sweepFormat = 'aludel-sweep'
export const sweepVersion = 1

/** One run of a sweep. */
export interface SweepCell {
  /** 'asc', 'desc' or 'random'; 'all' where everything stays, which is one run for all orders. */
  readonly order: 'asc' | 'desc' | 'random' | 'all'
  /** Share of the images that stays. */
  readonly keep: number
  /** Which repetition, from 0; `seed` is its seed. */
  readonly repeat: number
  readonly seed: number
  /** Directories and files are named as from the sweep's directory. */
  readonly run: string
  readonly subset: string | null
  /** Of each network. */
  readonly accuracies: readonly EvaluationResult[]
  readonly seconds: { readonly distill: number; readonly evaluate: number }
  /** Distillation steps, the same in every cell. */
  readonly steps: number
  /** Images that stay of each class. */
  readonly classCounts: readonly number[]
}

export interface SweepRecord {
  readonly format: typeof sweepFormat
  readonly version: typeof sweepVersion
  readonly status: 'running' | 'done'
  /** Everything that was asked for. */
  readonly settings: Readonly<Record<string, unknown>>
  readonly cells: readonly SweepCell[]
}

const orders = ['asc', 'desc', 'random', 'all']

const isCell = (value: unknown): boolean =>
  isRecord(value) &&
  orders.includes(value.order as string) &&
  isNumber(value.keep) &&
  isCount(value.repeat) &&
  isCount(value.seed) &&
  isText(value.run) &&
  (value.subset === null || isText(value.subset)) &&
  Array.isArray(value.accuracies) &&
  value.accuracies.every(isResult) &&
  isRecord(value.seconds) &&
  isNumbers([value.seconds.distill, value.seconds.evaluate]) &&
  isCount(value.steps) &&
  Array.isArray(value.classCounts) &&
  value.classCounts.every(isCount)

const rules: FieldRules<SweepRecord> = [
  ['format', `'${sweepFormat}'`, (value) => value === sweepFormat],
  ['version', `${sweepVersion}`, (value) => value === sweepVersion],
  ['status', "'running' or 'done'", (value) => value === 'running' || value === 'done'],
  ['settings', 'settings by name', isRecord],
  ['cells', 'order, keep, repeat, run, accuracies and counts of each', (value) => Array.isArray(value) && value.every(isCell)],
]

/** Longest sweep.json. */
const maxBytes = 64 << 20

/** Writes sweep.json with its own hash; old or new, never half. The directory must be there. Throws `io`. */
export const writeSweep = (dir: string, record: SweepRecord): Promise<void> => writeAtomic(join(dir, sweepFile), encodeSealed(record))

/** Reads and verifies sweep.json. Throws `not_found`, `invalid_data` naming the field that is not what it must be, `io`. */
export async function readSweep(dir: string): Promise<SweepRecord> {
  checkPath('directory of a sweep', dir)
  const path = join(dir, sweepFile)
  const text = await readText(path, maxBytes, 'give a directory that aludel sweep wrote')
  const value = parseRecord(path, text)
  checkFields(path, value, rules)
  checkSeal(path, text)
  const { cells } = value as unknown as SweepRecord
  const names = cells.map(({ run }) => run)
  if (new Set(names).size !== names.length) throw new AludelError('invalid_data', `${path}: expected each run once`)
  return value as unknown as SweepRecord
}
