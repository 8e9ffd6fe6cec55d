/** @file Data schedules: which rows of a data set an epoch of training sees. PAD's goes from easy samples to all, then to hard ones. */
import { checkOptions, isRecord, wholeNumber } from '../arguments.js'
import { AludelError, expected } from '../errors.js'
import { inPieces, Turn } from '../event-loop.js'
import { bytesOf, hashOfParts } from '../files/pieces.js'
import { stableOrder } from '../prune/stable-order.js'
import { checkLabels, rowsByClass } from '../scores/labels.js'
import { checkFiniteInTurns } from '../scores/score.js'
import { checkPadRule, type PadRule, padStretch } from './pad-rule.js'

/** A value that any training can follow. */
export interface DataSchedule {
  readonly name: string
  /** JSON that two schedules share only when they give the same rows in every epoch. */
  readonly config: Readonly<Record<string, string | number>>
  /**
   * Rows of the data set that `epoch`, counted from 0, trains on, ascending: what shuffles them is the training. The array is the caller's.
   * Throws `invalid_option` for what is no epoch.
   */
  rows(epoch: number): Int32Array
}

/** Throws `invalid_option` for what is no schedule. */
export function checkDataSchedule(what: string, schedule: unknown): void {
  const { name, config, rows } = (isRecord(schedule) ? schedule : {}) as Partial<DataSchedule>
  if (typeof name !== 'string' || !isRecord(config) || typeof rows !== 'function')
    throw expected('invalid_option', what, 'a data schedule such as one of padSchedule()', schedule)
}

export interface PadScheduleOptions extends PadRule {
  /** One finite number for each sample. */
  readonly scores: ArrayLike<number>
  /** One class of [0, classes) for each sample. */
  readonly labels: ArrayLike<number>
  readonly classes: number
  /** Whether shares are of each class or of all samples in one list. */
  readonly scope: 'class' | 'global'
  /** The end of the scores that is easy. Default 'low', as of EL2N and losses; 'high' for margins. */
  readonly easy?: 'low' | 'high'
}

const known: Readonly<Record<keyof PadScheduleOptions, true>> = {
  ...{ initialRatio: true, addEndEpoch: true, removeMiddle: true, removeEnd: true, r1: true, r2: true },
  ...{ scores: true, labels: true, classes: true, scope: true, easy: true },
}

/**
 * PAD's scheduler ("filter information extraction", arXiv 2408.03360 and its authors' code): `padStretch` of every class, or of all samples,
 * with the samples sorted from easy to hard; of equal scores the lower row is easier. Class sizes are those of `labels`. The arrays are
 * not kept.
 *
 * Throws `invalid_option`; `invalid_data` for numbers of scores and labels that differ, or where an epoch would have no sample left;
 * `invalid_index` for a label that is no class; `not_finite` with the rows whose score is no finite number.
 */
export async function padSchedule(options: PadScheduleOptions): Promise<DataSchedule> {
  const what = 'padSchedule'
  checkOptions<PadScheduleOptions>(what, options, known)
  const { initialRatio, addEndEpoch, removeMiddle, removeEnd, r1, r2, scope, easy = 'low' } = options
  const rule: PadRule = { initialRatio, addEndEpoch, removeMiddle, removeEnd, r1, r2 }
  checkPadRule(what, rule)
  if (scope !== 'class' && scope !== 'global') throw expected('invalid_option', `${what}: scope`, "'class' or 'global'", scope)
  if (easy !== 'low' && easy !== 'high') throw expected('invalid_option', `${what}: easy`, "'low' or 'high'", easy)
  const groups = await sortedGroups(what, options, scope, easy)
  const sizes = groups.map(({ length }) => length)
  checkNoneEmpty(what, rule, sizes)
  const ranking = await hashOfParts(JSON.stringify(sizes), groups.map(bytesOf))
  return scheduleOf({ kind: 'pad', ...rule, scope, ranking }, rule, groups)
}

/** Rows of each class, or of all in one, from easy to hard. */
async function sortedGroups(
  what: string,
  { scores, labels, classes }: PadScheduleOptions,
  scope: 'class' | 'global',
  easy: 'low' | 'high',
): Promise<Int32Array[]> {
  wholeNumber(`${what}: classes`, classes)
  if (!(scores?.length > 0)) throw expected('invalid_data', `${what}: scores`, 'a number for each sample', scores?.length)
  await checkLabels(what, labels, scores.length, classes)
  await checkFiniteInTurns(`${what}: scores`, scores)
  const turn = new Turn()
  const keys = new Float64Array(scores.length)
  await inPieces(keys.length, turn, (from, to) => {
    for (let row = from; row < to; row++) keys[row] = easy === 'low' ? scores[row] : -scores[row]
  })
  const groups = scope === 'class' ? await rowsByClass(labels, classes, turn) : [Int32Array.from(keys.keys())]
  const sorted: Int32Array[] = []
  for (const rows of groups) sorted.push(await stableOrder(rows, keys))
  return sorted
}

/** Samples only come until `addEndEpoch`; later there are as many in all epochs between two of the rule's. */
function checkNoneEmpty(what: string, rule: PadRule, sizes: readonly number[]): void {
  for (const epoch of [0, rule.removeMiddle + 1, rule.removeEnd + 1]) {
    const kept = sizes.reduce((sum, size) => sum + lengthOf(padStretch(rule, epoch, size)), 0)
    if (kept > 0) continue
    const counts = sizes.length > 8 ? `${sizes.slice(0, 8).join(', ')}, …` : sizes.join(', ')
    throw new AludelError(
      'invalid_data',
      `${what}: epoch ${epoch} would train on nothing of classes of ${counts} samples; raise the shares`,
    )
  }
}

const lengthOf = ([begin, end]: readonly [number, number]): number => end - begin

function scheduleOf(config: DataSchedule['config'], rule: PadRule, groups: readonly Int32Array[]): DataSchedule {
  const samples = groups.reduce((sum, { length }) => sum + length, 0)
  return Object.freeze({
    name: 'pad',
    config: Object.freeze(config),
    rows(epoch: number): Int32Array {
      wholeNumber('pad schedule: epoch', epoch, 0)
      const kept = new Uint8Array(samples)
      let count = 0
      for (const rows of groups) {
        const [begin, end] = padStretch(rule, epoch, rows.length)
        for (let i = begin; i < end; i++) kept[rows[i]] = 1
        count += end - begin
      }
      const result = new Int32Array(count)
      for (let row = 0, i = 0; row < samples; row++) if (kept[row]) result[i++] = row
      return result
    },
  })
}
