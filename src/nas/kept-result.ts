/** @file What came of a search, as nas.json and the times beside it tell it. */
import { join } from 'node:path'
import { isRecord } from '../arguments.js'
import { readWholeCellFile } from '../experiment/cell-file.js'
import { checkFields, type FieldRules, isCount, isNumber, isText, isTexts } from '../experiment/json-fields.js'
import { type NasSource, nasSources } from './options.js'
import { cellFormat, nasFile, nasTimesFile, timeFormat } from './record.js'
import type { NasResult, NasSourceResult } from './summary.js'

/** A result as it was kept; results of earlier versions name neither their set nor their operations. */
export type KeptNasResult = Omit<NasResult, 'set' | 'sources'> & { readonly set?: string; readonly sources: readonly KeptNasSource[] }
export type KeptNasSource = Omit<NasSourceResult, 'flops'> & { readonly flops?: number }

const isSource = (value: unknown): value is NasSource => (nasSources as readonly unknown[]).includes(value)
const orNull = (holds: (value: unknown) => boolean) => (value: unknown) => value === null || holds(value)
const isCorrelation = (value: unknown): boolean =>
  isRecord(value) && isCount(value.n) && orNull(isNumber)(value.spearman) && orNull(isNumber)(value.kendall)
const isInterval = (value: unknown): boolean => Array.isArray(value) && value.length === 2 && value.every(isNumber)
const isAccuracy = (value: unknown): boolean => isRecord(value) && isNumber(value.mean) && isNumber(value.std) && isCount(value.n)

const isSourceResult = (value: unknown): boolean =>
  isRecord(value) &&
  isSource(value.source) &&
  isCorrelation(value.sample) &&
  isRecord(value.sample) &&
  orNull(isInterval)(value.sample.interval) &&
  isCorrelation(value.top) &&
  isRecord(value.best) &&
  isText(value.best.architecture) &&
  isNumber(value.best.accuracy) &&
  (value.flops === undefined || isNumber(value.flops)) &&
  isCount(value.trainings)

const isRanked = (value: unknown): boolean =>
  isRecord(value) && isText(value.name) && isRecord(value.accuracies) && Object.values(value.accuracies).every(isAccuracy)

const rules: FieldRules<KeptNasResult> = [
  ['top', 'a number', isNumber],
  ['set', 'a text, or nothing', (value) => value === undefined || isText(value)],
  ['sample', 'names of networks', isTexts],
  ['ranking', 'networks with their accuracies', (value) => Array.isArray(value) && value.every(isRanked)],
  ['sources', 'sources with their correlations', (value) => Array.isArray(value) && value.every(isSourceResult)],
]

/** Undefined where no search has come to its end in `dir`. Throws `invalid_data` for files that are none of ours. */
export async function readNasResult(dir: string): Promise<KeptNasResult | undefined> {
  const path = join(dir, nasFile)
  const { result } = await readWholeCellFile(path, cellFormat)
  if (result === undefined || result === null) return undefined
  if (!isRecord(result)) checkFields(path, { result }, [['result', 'what came of a search', isRecord]])
  checkFields(path, result as Record<string, unknown>, rules)
  const kept = result as unknown as KeptNasResult
  const { sources: times } = await readWholeCellFile(join(dir, nasTimesFile), timeFormat)
  return { ...kept, sources: kept.sources.map((source) => ({ ...source, ...timesOf(source.source, times) })) }
}

/** Unknown where the file of the times was lost, or is of an earlier version. */
function timesOf(source: NasSource, times: unknown): Pick<NasSourceResult, 'seconds' | 'spaceSeconds'> {
  const own: unknown = Array.isArray(times) ? times.find((one) => isRecord(one) && one.source === source) : undefined
  const { seconds, spaceSeconds } = isRecord(own) ? own : {}
  return { seconds: isNumber(seconds) ? seconds : null, spaceSeconds: isNumber(spaceSeconds) ? spaceSeconds : null }
}
