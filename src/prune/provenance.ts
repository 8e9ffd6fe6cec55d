/** @file Where scores come from, as score files and subsets record it. */
import { isRecord } from '../arguments.js'
import type { Dataset, DatasetPart } from '../data/dataset.js'
import { AludelError, expected } from '../errors.js'
import { isCount, isText, isTexts } from '../experiment/json-fields.js'

/** The data set that rows are numbered in. */
export interface ScoredData {
  readonly name: string
  readonly split: string
  /** Content hash, `dataset.sha256`. Of files that were scored as a stream, whose pixels were never all in one place: `files` once more. */
  readonly sha256: string
  /** `dataset.filesSha256`: the same files at any size. Only of data sets of files. */
  readonly files?: string
  readonly samples: number
}

export interface ScoreDescription {
  /** Name of the score, such as 'loss'; `scoreInfo` knows those of this package. */
  readonly name: string
  /** What scored: 'convnet, 5 runs', 'resnet18.onnx', a file. */
  readonly source: string
  /** 'evaluation': a pass of its own over clean images. 'training': values seen while training, of augmented images. */
  readonly pass: 'evaluation' | 'training'
  /** Epochs that the values are means of or that the networks trained for; null where unknown. */
  readonly epochs: number | null
  /** Networks that the values are means of; null where unknown. */
  readonly runs: number | null
  readonly seed: number | null
}

export const scoredData = ({ name, split, sha256, filesSha256: files, labels }: Dataset): ScoredData => ({
  ...{ name, split, sha256, samples: labels.length },
  ...(files !== undefined && { files }),
})

const isHash = (value: unknown): boolean => isText(value) && /^[0-9a-f]{64}$/.test(value)
const isCountOrNull = (value: unknown): boolean => value === null || isCount(value)

export const isScoredData = (value: unknown): value is ScoredData =>
  isRecord(value) &&
  isTexts([value.name, value.split]) &&
  isHash(value.sha256) &&
  (value.files === undefined || isHash(value.files)) &&
  isCount(value.samples) &&
  value.samples > 0

export const isScoreDescription = (value: unknown): value is ScoreDescription =>
  isRecord(value) &&
  isTexts([value.name, value.source]) &&
  (value.pass === 'evaluation' || value.pass === 'training') &&
  [value.epochs, value.runs, value.seed].every(isCountOrNull)

/** Throws `invalid_option` unless every field of a description is there. */
export function checkDescription(what: string, value: unknown): ScoreDescription {
  if (!isScoreDescription(value))
    throw expected(
      'invalid_option',
      `${what}: score`,
      '{ name, source, pass, epochs, runs, seed }',
      value,
      "pass is 'evaluation' or 'training'",
    )
  const { name, source, pass, epochs, runs, seed } = value
  return { name, source, pass, epochs, runs, seed }
}

/** Whether rows of both mean the same samples: equal pixels, or the same files at whatever size. */
export const isSameData = (a: ScoredData, b: ScoredData): boolean => a.sha256 === b.sha256 || (a.files !== undefined && a.files === b.files)

/** What the header of a file says of its content: JSON with the data and the score. Throws `invalid_data` naming `path`. */
export function parseProvenance(path: string, text: string): { readonly data: ScoredData; readonly score: ScoreDescription } {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new AludelError('invalid_data', `${path}: the header says nothing of its content that is JSON`, { cause })
  }
  const { data, score } = isRecord(value) ? value : {}
  if (!isScoredData(data) || !isScoreDescription(score))
    throw new AludelError('invalid_data', `${path}: expected data and score in the header: what was scored, and by what`)
  return { data, score }
}

/** Whether the whole that a part was taken of is the data set that rows were numbered in. */
export const isPartOf = (part: DatasetPart, { sha256, files }: ScoredData): boolean =>
  part.of === sha256 || (files !== undefined && part.files === files)

/** Throws `incompatible` unless `dataset` is the one that rows were numbered in: equal pixels, or the same files at whatever size. */
export function checkSameData(what: string, { name, sha256, files, samples }: ScoredData, dataset: Dataset): void {
  if (files !== undefined && files === dataset.filesSha256) return
  if (dataset.sha256 === sha256) return
  const [kind, wanted, received] =
    files !== undefined && dataset.filesSha256 !== undefined ? ['files', files, dataset.filesSha256] : ['data', sha256, dataset.sha256]
  throw new AludelError(
    'incompatible',
    `${what}: expected ${kind} of sha256 ${wanted.slice(0, 12)}… (${name}, ${samples} samples) but received ` +
      `${received.slice(0, 12)}… (${dataset.name}, ${dataset.shape[0]} samples); rows of one say nothing about the other`,
  )
}
