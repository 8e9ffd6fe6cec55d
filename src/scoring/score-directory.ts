/** @file A directory of scores: one file for each kind, features where they were asked for, and scores.json, which says how they were made. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { checkPath, isRecord } from '../arguments.js'
import { exists, readText } from '../data/file-bytes.js'
import { asDataset, type Dataset, type DatasetInput } from '../data/index.js'
import { AludelError, expected, onFile } from '../errors.js'
import { checkFields, type FieldRules, isConfig, isCount, isNumber, isNumbers, isText, isTexts } from '../experiment/json-fields.js'
import { checkSeal, encodeSealed, parseRecord } from '../experiment/sealed-json.js'
import { writeAtomic } from '../files/atomic-file.js'
import { isScoredData, type ScoredData, scoredData } from '../prune/provenance.js'
import { readScores, type ScoreFile, writeScores } from '../prune/score-file.js'

export const scoresFormat = 'aludel-scores-run'
export const scoresVersion = 1
const recordFile = 'scores.json'
const featuresFile = 'features.safetensors'
const maxRecordBytes = 2 ** 26

/** What scored: networks trained for it, weights of a user, or a model. Beside its kind every setting, resolved. */
export type ScoresSource = { readonly kind: 'networks' | 'checkpoint' | 'model' } & Readonly<
  Record<string, string | number | boolean | null | readonly number[] | readonly string[]>
>

/** An image that could not be read and was left out of the data. */
export interface UnreadableImage {
  readonly row: number
  readonly path: string
  readonly reason: string
}

export interface ScoresRecord {
  readonly format: typeof scoresFormat
  readonly version: typeof scoresVersion
  /** 'running' until every file is written. */
  readonly status: 'running' | 'done'
  readonly data: ScoredData
  /** The data as the user named it, for a continuation; null where it has no name. */
  readonly specification: string | null
  /** In label order. */
  readonly classes: readonly string[]
  readonly source: ScoresSource
  /** Names of the scores asked for; each has a file of its own once the status is 'done'. */
  readonly kinds: readonly string[]
  /** Whether features.safetensors was asked for. */
  readonly features: boolean
  /** Accuracy in per cent on the scored images, of each network or of the model; empty while running. */
  readonly accuracies: readonly number[]
  /** Mean of the same by class; null for a class without images, and as a whole while running. */
  readonly perClass: readonly (number | null)[] | null
  readonly unreadable: readonly UnreadableImage[]
  /** Which part of the data was scored; null for all of it. */
  readonly shard: { readonly index: number; readonly of: number } | null
  readonly versions: Readonly<Record<string, string>>
  /** Wall-clock seconds spent so far, of all continuations together. */
  readonly seconds: number
}

const sourceKinds = ['networks', 'checkpoint', 'model']

const isSource = (value: unknown): boolean => isRecord(value) && sourceKinds.includes(value.kind as string) && isConfig(value)
const isPerClass = (value: unknown): boolean =>
  value === null || (Array.isArray(value) && value.every((one) => one === null || isNumber(one)))
const isUnreadable = (value: unknown): boolean =>
  Array.isArray(value) && value.every((one) => isRecord(one) && isCount(one.row) && isTexts([one.path, one.reason]))
const isShard = (value: unknown): boolean =>
  value === null || (isRecord(value) && isCount(value.index) && isCount(value.of) && value.of > 0)
const isTextMap = (value: unknown): boolean => isRecord(value) && Object.values(value).every(isText)

const rules: FieldRules<ScoresRecord> = [
  ['format', `'${scoresFormat}'`, (value) => value === scoresFormat],
  ['version', `${scoresVersion}`, (value) => value === scoresVersion],
  ['status', "'running' or 'done'", (value) => value === 'running' || value === 'done'],
  ['data', 'name, split, sha256 and samples', isScoredData],
  ['specification', 'a text or null', (value) => value === null || isText(value)],
  ['classes', 'a list of class names', isTexts],
  ['source', `settings with kind: ${sourceKinds.join(', ')}`, isSource],
  ['kinds', 'names of scores', isTexts],
  ['features', 'true or false', (value) => typeof value === 'boolean'],
  ['accuracies', 'numbers', isNumbers],
  ['perClass', 'a number or null for each class, or null', isPerClass],
  ['unreadable', 'row, path and reason of each', isUnreadable],
  ['shard', 'index and of, or null', isShard],
  ['versions', 'texts by name', isTextMap],
  ['seconds', 'a number', isNumber],
]

export const recordPath = (dir: string): string => join(dir, recordFile)
export const featuresPath = (dir: string): string => join(dir, featuresFile)

/** Where the scores of one kind stand. Throws `invalid_option` for a name that would lead elsewhere. */
export function kindPath(dir: string, kind: string): string {
  if (typeof kind !== 'string' || !/^[A-Za-z][\w-]*$/.test(kind) || `${kind}.safetensors` === featuresFile)
    throw expected('invalid_option', 'kind of score', "a name such as 'loss'", kind)
  return join(dir, `${kind}.safetensors`)
}

/** Whether `path` is a directory that holds scores.json. */
export async function isScoreDirectory(path: string): Promise<boolean> {
  checkPath('score directory', path)
  return exists(recordPath(path))
}

/** The record of scoring `data` before anything was scored. */
export function startRecord(
  data: Dataset | DatasetInput,
  given: Pick<ScoresRecord, 'source' | 'kinds' | 'versions'> &
    Partial<Pick<ScoresRecord, 'specification' | 'features' | 'shard' | 'unreadable'>>,
): ScoresRecord {
  const dataset = asDataset(data)
  const { source, kinds, versions, specification = null, features = false, shard = null } = given
  const { unreadable = dataset.unreadable ?? [] } = given
  return {
    format: scoresFormat,
    version: scoresVersion,
    status: 'running',
    data: scoredData(dataset),
    specification,
    classes: [...dataset.classes],
    source,
    kinds: [...kinds],
    features,
    accuracies: [],
    perClass: null,
    unreadable,
    shard,
    versions,
    seconds: 0,
  }
}

/** Writes scores.json with its own hash; old or new, never half. The directory must be there. Throws `io`. */
export const writeRecord = (dir: string, record: ScoresRecord): Promise<void> => writeAtomic(recordPath(dir), encodeSealed(record))

/** Reads and verifies scores.json. Throws `not_found`, `invalid_data` naming the field that is not what it must be, `io`. */
export async function readRecord(dir: string): Promise<ScoresRecord> {
  checkPath('score directory', dir)
  const path = recordPath(dir)
  const text = await readText(path, maxRecordBytes, 'give a directory that aludel score wrote')
  const value = parseRecord(path, text)
  checkFields(path, value, rules)
  checkSeal(path, text)
  return value as unknown as ScoresRecord
}

/** As `readRecord`, of scores that are all there. Throws `invalid_data` too for a scoring that has not ended. */
export async function readDoneRecord(dir: string): Promise<ScoresRecord> {
  const record = await readRecord(dir)
  const { shard, status } = record
  if (shard !== null)
    throw new AludelError('invalid_data', `${dir}: holds shard ${shard.index}/${shard.of} of scores; join all of them with: aludel merge`)
  if (status === 'done') return record
  throw new AludelError('invalid_data', `${dir}: its scores are not all there yet; finish it with: aludel score --resume ${dir}`)
}

/** Kinds whose file stands in the directory, in the order of the record. */
export async function listKinds(dir: string): Promise<string[]> {
  const { kinds } = await readRecord(dir)
  const names = new Set(await onFile(dir, () => readdir(dir)))
  return kinds.filter((kind) => names.has(`${kind}.safetensors`))
}

/** Whether features.safetensors stands in the directory. */
export const hasFeatures = (dir: string): Promise<boolean> => exists(featuresPath(dir))

/** Writes the scores of one kind, named by it. Throws `invalid_option` for another name than the scores have, `not_finite`, `io`. */
export async function writeKind(dir: string, kind: string, scores: ScoreFile): Promise<void> {
  if (scores.score.name !== kind) throw expected('invalid_option', 'writeKind: scores', `scores named '${kind}'`, scores.score.name)
  await writeScores(kindPath(dir, kind), scores)
}

/**
 * Reads the scores of one kind and compares them with the record. Throws `not_found` naming the kinds there are, `invalid_data` for damage,
 * for a scoring that has not ended and for a file of other data or another kind, `io`.
 */
export async function readKind(dir: string, kind: string): Promise<ScoreFile> {
  const { data } = await readDoneRecord(dir)
  const path = kindPath(dir, kind)
  if (!(await exists(path))) {
    const there = await listKinds(dir)
    throw expected('not_found', `${dir}: kind of score`, there.length === 0 ? 'one that is there, and none is,' : there.join(', '), kind)
  }
  const scores = await readScores(path)
  if (scores.score.name !== kind) throw expected('invalid_data', path, `scores named '${kind}'`, scores.score.name)
  if (scores.data.sha256 !== data.sha256 || scores.data.samples !== data.samples) {
    const wanted = `scores of the data that ${recordFile} names (sha256 ${data.sha256.slice(0, 12)}…)`
    throw expected('invalid_data', path, wanted, `${scores.data.sha256.slice(0, 12)}…`)
  }
  return scores
}
