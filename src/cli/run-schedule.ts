/** @file The data schedule of a distillation on the command line: made of scores, noted in run.json, and made again for a continuation. */
import { resolve } from 'node:path'
import type { Dataset } from '../data/dataset.js'
import { AludelError, expected } from '../errors.js'
import type { ScheduleRecord } from '../experiment/run-record.js'
import type { DistillOptions, DistillSettings } from '../experiment/types.js'
import { type PadChoice, randomScores, ruleOf, scheduleBy } from './experts-schedule.js'
import type { Library } from './library.js'
import { given } from './options.js'
import { scoresAt } from './score-source.js'

export type ScheduleOptions = Pick<DistillOptions, 'schedule' | 'scheduleEvery'>

export interface RunScheduling {
  readonly record: ScheduleRecord
  readonly options: ScheduleOptions
}

export interface ScheduleQuestion {
  readonly choice: PadChoice
  /** 'random', or where scores are. */
  readonly scores?: string
  readonly kind?: string
  readonly every?: number
  readonly settings: DistillSettings
}

/** Checks a schedule and the settings of the run against the data. Throws `invalid_option`, and what reading scores throws. */
export async function prepareSchedule(
  train: Dataset,
  { choice, scores, kind, every, settings }: ScheduleQuestion,
  library: Library,
): Promise<RunScheduling> {
  if (scores === undefined) {
    const wanted = "--scores with scores of these images, from aludel score, or '--scores random'"
    throw expected('invalid_option', '--schedule', wanted, 'none')
  }
  const { seed = 0 } = settings
  const rule = ruleOf(train, choice)
  const source = { rule: { ...rule }, scores: scores === 'random' ? null : resolve(scores), kind: kind ?? null }
  if (source.scores === null && kind !== undefined) throw new AludelError('invalid_option', '--kind: a random order has none; leave it out')
  const schedule = await scheduleFrom(train, source, seed)
  const resolved = await library.checkSettings(train, { ...settings, schedule, ...given({ scheduleEvery: every }) })
  const scheduleEvery = resolved.scheduleEvery as number
  return { record: { ...source, every: scheduleEvery }, options: { schedule, scheduleEvery } }
}

/** What a run was begun with. Other scores than then are told by the run's settings. */
export async function scheduleOfRun(
  train: Dataset,
  { schedule: record, settings }: { readonly schedule?: ScheduleRecord; readonly settings?: { readonly seed?: number } },
): Promise<ScheduleOptions> {
  if (!record) return {}
  return { schedule: await scheduleFrom(train, record, settings?.seed ?? 0), scheduleEvery: record.every }
}

async function scheduleFrom(train: Dataset, { rule, scores, kind }: Pick<ScheduleRecord, 'rule' | 'scores' | 'kind'>, seed: number) {
  const found = scores === null ? await randomScores(train, seed) : await scoresAt(scores, kind ?? undefined, train)
  return scheduleBy(train, rule as PadChoice, found)
}
