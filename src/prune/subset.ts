/** @file A subset: the sealed record of which rows of which data set stay, by which rule. Every later stage takes its images from it. */
import { isRecord } from '../arguments.js'
import { datasetPart, streamedPart } from '../data/dataset.js'
import { maxFileBytes, readWhole } from '../data/file-bytes.js'
import { asDataset, type Dataset, type DatasetInput } from '../data/index.js'
import { checkLabelled } from '../data/labels.js'
import { AludelError, expected } from '../errors.js'
import { checkFields, type FieldRules, isCount, isNumber, isNumbers, isTexts } from '../experiment/json-fields.js'
import { checkSeal, encodeSealed, parseRecord, sealOf } from '../experiment/sealed-json.js'
import { writeAtomic } from '../files/atomic-file.js'
import { isAmountRule } from './amount.js'
import { type Order, orders, type SelectRule } from './options.js'
import {
  checkDescription,
  checkSameData,
  isScoreDescription,
  isScoredData,
  type ScoreDescription,
  type ScoredData,
  scoredData,
} from './provenance.js'
import type { RaisedCount, Selection } from './select.js'

export const subsetFormat = 'aludel-subset'
export const subsetVersion = 1

export interface Subset {
  readonly format: typeof subsetFormat
  readonly version: typeof subsetVersion
  readonly data: ScoredData
  /** In label order. */
  readonly classes: readonly string[]
  /** What the samples were chosen by; null where it was chance. */
  readonly score: ScoreDescription | null
  readonly rule: SelectRule
  /** How many stay of each class. */
  readonly counts: readonly number[]
  /** How many there were; absent in files of earlier versions. */
  readonly totals?: readonly number[]
  readonly raised: readonly RaisedCount[]
  /** Rows that stay, ascending. */
  readonly indices: readonly number[]
  /** How much each stands for, where the rule says so. */
  readonly weights: readonly number[] | null
  /** The score of each row that stays; null where none chose it, absent in files of earlier versions. */
  readonly values?: readonly number[] | null
}

/**
 * The record of a selection from `data`; `score` says what it was made by, null for chance.
 * Throws `invalid_option` for a description that lacks a field or a selection of other data.
 */
export function createSubset(data: Dataset | DatasetInput, selection: Selection, score: ScoreDescription | null): Subset {
  const dataset = asDataset(data)
  checkLabelled('createSubset', dataset)
  const subset: Subset = {
    format: subsetFormat,
    version: subsetVersion,
    data: scoredData(dataset),
    classes: [...dataset.classes],
    score: score === null ? null : checkDescription('createSubset', score),
    rule: selection.rule,
    counts: [...selection.counts],
    totals: countsOf(dataset),
    raised: selection.raised,
    indices: listOf(selection.indices),
    weights: selection.weights && listOf(selection.weights),
    values: selection.values && listOf(selection.values),
  }
  if (!fits(subset, dataset)) throw expected('invalid_option', 'createSubset', 'a selection from this data set', 'one of other labels')
  return subset
}

/** Plain numbers; a loop, since there may be a million and iterators take ten times as long. */
function listOf(values: Int32Array | Float64Array): number[] {
  const list = new Array<number>(values.length)
  for (let i = 0; i < list.length; i++) list[i] = values[i]
  return list
}

function countsOf({ labels, classes }: Dataset): number[] {
  const counts = new Int32Array(classes.length)
  for (let row = 0; row < labels.length; row++) counts[labels[row]]++
  return [...counts]
}

/** Whether the rows exist and make up the counts. */
function fits({ indices, counts }: Subset, { labels }: Dataset): boolean {
  const found = counts.map(() => 0)
  for (const row of indices) found[labels[row]]++
  return found.every((count, c) => count === counts[c])
}

const isAscending = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length > 0 && value.every((row, i) => isCount(row) && (i === 0 || row > value[i - 1]))

const isRule = (value: unknown): boolean =>
  isRecord(value) &&
  orders.includes(value.order as Order) &&
  (value.scope === 'class' || value.scope === 'global') &&
  isAmountRule(value.amount) &&
  isCount(value.minimumPerClass) &&
  (value.seed === null || isCount(value.seed)) &&
  (value.order === 'ccs' ? isCcs(value.ccs) : value.ccs === null)

const isCcs = (value: unknown): boolean =>
  isRecord(value) && (value.hardest === 'largest' || value.hardest === 'smallest') && isNumber(value.cutoff) && isCount(value.bins)

const isRaised = (value: unknown): boolean =>
  Array.isArray(value) && value.every((entry) => isRecord(entry) && [entry.class, entry.from, entry.to].every(isCount))

/** What each field must be; the first that is not is named in the error. */
const rules: FieldRules<Subset> = [
  ['format', `'${subsetFormat}'`, (value) => value === subsetFormat],
  ['version', `${subsetVersion}`, (value) => value === subsetVersion],
  ['data', 'name, split, sha256 and samples', isScoredData],
  ['classes', 'a list of at least one class name', (value) => isTexts(value) && value.length > 0],
  ['score', 'name, source, pass, epochs, runs and seed, or null', (value) => value === null || isScoreDescription(value)],
  ['rule', 'order, scope, amount, minimumPerClass, seed and ccs', isRule],
  ['counts', 'a list of whole numbers', (value) => Array.isArray(value) && value.every(isCount)],
  ['totals', 'a list of whole numbers', (value) => value === undefined || (Array.isArray(value) && value.every(isCount))],
  ['raised', 'class, from and to of each raised count', isRaised],
  ['indices', 'a list of rows in ascending order, each once', isAscending],
  ['weights', 'one number >= 0 for each row, or null', (value) => value === null || isWeights(value)],
  ['values', 'one number for each row, or null', (value) => value === undefined || value === null || isNumbers(value)],
]

const isWeights = (value: unknown): boolean => Array.isArray(value) && value.every((weight) => isNumber(weight) && weight >= 0)

/** Parses and checks the text of a subset: fields first, then its own hash. Throws `invalid_data` naming the file and the field. */
export function decodeSubset(path: string, text: string): Subset {
  const value = parseRecord(path, text)
  checkFields(path, value, rules)
  checkSeal(path, text)
  const subset = value as unknown as Subset
  const { data, classes, counts, totals, raised, indices, weights, values } = subset
  const bad = (field: string, wanted: string, received: unknown) => expected('invalid_data', `${path}: field '${field}'`, wanted, received)
  if (counts.length !== classes.length) throw bad('counts', `${classes.length} numbers, one for each class`, counts.length)
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (raised.some((one) => one.class >= classes.length)) throw bad('raised', `classes below ${classes.length}`, 'others')
  if (total !== indices.length) throw bad('counts', `${indices.length} rows in all`, total)
  if (indices[indices.length - 1] >= data.samples) throw bad('indices', `rows below ${data.samples}`, indices[indices.length - 1])
  if (weights !== null && weights.length !== indices.length) throw bad('weights', `${indices.length} numbers`, weights.length)
  if (totals !== undefined && (totals.length !== counts.length || totals.some((of, c) => of < counts[c])))
    throw bad('totals', `${counts.length} numbers, none below the count of its class`, 'others')
  if (values && values.length !== indices.length) throw bad('values', `${indices.length} numbers`, values.length)
  return subset
}

/** Writes a subset as one JSON file that carries its own hash; old or new, never half. Throws `io`. */
export const writeSubset = (path: string, subset: Subset): Promise<void> => writeAtomic(path, encodeSealed(subset))

/** Reads what `writeSubset` wrote. Throws `not_found`, `invalid_data` naming the first field that is not what it must be, `io`. */
export async function readSubset(path: string): Promise<Subset> {
  const bytes = await readWhole(path, maxFileBytes, 'give a file that writeSubset wrote')
  return decodeSubset(path, decodeText(path, bytes))
}

/** The hash that a subset's file carries. */
export const subsetHash = (subset: Subset): string => sealOf(subset)

function decodeText(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new AludelError('invalid_data', `${path}: expected UTF-8 text`, { cause })
  }
}

/**
 * The data set of the rows that stay, in their original order; its `part` says which rows they were. Throws `incompatible` for data of another
 * content hash: row numbers of one data set mean nothing in another.
 */
export function applySubset(data: Dataset | DatasetInput, subset: Subset): Dataset {
  return datasetPart(checkFits(data, subset), subset.indices, subsetHash(subset))
}

/** As `applySubset`, wherever the pixels are: those of a pack that stays on the disk are read once, for the identity of the part. */
export async function openSubset(data: Dataset, subset: Subset): Promise<Dataset> {
  const { pixels } = data
  if (!pixels) return applySubset(data, subset)
  return streamedPart(checkFits(data, subset), pixels, Int32Array.from(subset.indices), subsetHash(subset))
}

function checkFits(data: Dataset | DatasetInput, subset: Subset): Dataset {
  const dataset = asDataset(data)
  checkSameData('applySubset', subset.data, dataset)
  if (subset.classes.join('\n') !== dataset.classes.join('\n') || !fits(subset, dataset))
    throw new AludelError('incompatible', `applySubset: expected the classes that the subset was made for; make it again for this data set`)
  return dataset
}
