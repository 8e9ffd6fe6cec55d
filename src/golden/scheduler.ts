/** @file Replays of PAD's scheduler: the rows of every epoch, per class and global, and the bound of the epochs that matching starts from. */
import { padSchedule } from '../schedule/data-schedule.js'
import { startEpochBound } from '../schedule/start-epoch.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList, listTensor } from './compare.js'
import type { GoldenEngine } from './engines.js'
import { fieldAt, listAt, numberAt } from './fields.js'
import { stored } from './selection-scores.js'

export const isScheduler = (golden: GoldenCase): boolean =>
  Array.isArray(fieldAt(golden, 'traces')) && Array.isArray(fieldAt(golden, 'start_epoch_upper_exclusive'))

/** Epochs share sets: `epoch_set` names the one of each. */
async function replayTrace(golden: GoldenCase, trace: number, scores: ArrayLike<number>, checks: CheckList): Promise<void> {
  const labels = listAt(golden, 'labels') as readonly number[]
  const scope = fieldAt(golden, 'traces', trace, 'scope') as 'class' | 'global'
  const of = (name: string): number => numberAt(golden, 'traces', trace, 'config', name)
  const schedule = await padSchedule({
    scores,
    labels,
    classes: Math.max(...labels) + 1,
    scope,
    initialRatio: of('init_ratio'),
    addEndEpoch: of('add_end_epoch'),
    removeMiddle: of('rm_epoch_first'),
    removeEnd: of('rm_epoch_second'),
    r1: of('rm_easy_ratio_first'),
    r2: of('rm_easy_ratio_second'),
  })
  const sets = listAt(golden, 'traces', trace, 'sets') as readonly (readonly number[])[]
  const ofEpoch = listAt(golden, 'traces', trace, 'epoch_set') as readonly number[]
  const rows = ofEpoch.map((_, epoch) => schedule.rows(epoch))
  const flat = (lists: readonly ArrayLike<number>[]) => listTensor(lists.flatMap((list) => Array.from(list)))
  checks.add(
    `${scope}.${trace}.counts`,
    'exact',
    listTensor(rows.map(({ length }) => length)),
    listTensor(listAt(golden, 'traces', trace, 'epoch_count') as number[]),
  )
  checks.add(`${scope}.${trace}.rows`, 'exact', flat(rows), flat(ofEpoch.map((set) => sets[set])))
}

export async function replayScheduler(golden: GoldenCase, { name: engine }: GoldenEngine): Promise<Check[]> {
  const scores = stored(engine, listAt(golden, 'scores') as number[])
  const checks = new CheckList(engine)
  for (let trace = 0; trace < listAt(golden, 'traces').length; trace++) await replayTrace(golden, trace, scores, checks)
  for (let range = 0; range < listAt(golden, 'start_epoch_upper_exclusive').length; range++) {
    const of = (name: string): number => numberAt(golden, 'start_epoch_upper_exclusive', range, name)
    const epochs = {
      min: of('min_start'),
      start: of('current_max_start'),
      max: of('max_start'),
      expansionEnd: of('expansion_end'),
      sequential: true,
    }
    const upper = listAt(golden, 'start_epoch_upper_exclusive', range, 'upper') as readonly (readonly [number, number])[]
    const bounds = upper.map(([iteration]) => startEpochBound(epochs, iteration))
    checks.add(`start_epoch.${range}`, 'exact', listTensor(bounds), listTensor(upper.map(([, bound]) => bound)))
  }
  return checks.checks
}
