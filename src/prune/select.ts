/** @file Selection: which samples of a data set stay, by scores, by features or at random. Kept rows are ascending, in the original order. */
import { isRecord } from '../arguments.js'
import type { Dataset } from '../data/dataset.js'
import { checkLabelled } from '../data/labels.js'
import { AludelError, expected } from '../errors.js'
import { inPieces, Turn } from '../event-loop.js'
import { checkLabels, rowsByClass } from '../scores/labels.js'
import { checkSelectOptions, type SelectOptions, type SelectRule } from './options.js'
import { type Group, type RankInput, ranks, sortKeys } from './rank.js'
import { runnersUp } from './ranked.js'

/** A class whose count was raised to `minimumPerClass`. */
export interface RaisedCount {
  readonly class: number
  readonly from: number
  readonly to: number
}

export interface Selection {
  /** Rows that stay, ascending. */
  readonly indices: Int32Array
  /** How many stay of each class. */
  readonly counts: Int32Array
  readonly raised: readonly RaisedCount[]
  /** Classes that lose more than 95 % of their samples: worth a warning. */
  readonly thinned: readonly number[]
  /** How much each kept row stands for, in the order of `indices`: of 'craig' and 'gradMatch', null otherwise. */
  readonly weights: Float64Array | null
  /** Scores of the kept rows, in the order of `indices`; null where none were given. */
  readonly values: Float64Array | null
  readonly rule: SelectRule
}

const thinnedBelow = 0.05

/**
 * The samples that stay by the rule of `options`: `order`, one of `keep`, `drop`, `keepPercent`, `window`, and what the order needs.
 * Order 'asc' keeps the smallest scores, 'desc' the largest; which end is easy says `scoreInfo`. Fractions drop trunc(drop n) of each class
 * and the lower row of equal ones; percentages keep floor(percent n / 100), of equal ones the lower row with 'asc', the higher with 'desc'.
 *
 * Throws `invalid_option` (keep and drop at once, a fraction of 0 or 1, a class that would be emptied, a minimum above a class),
 * `invalid_data` (another number of scores, rows or labels than samples; no labels; a class without samples), `invalid_index` (a label), `not_finite`
 * with the rows whose score is NaN or infinite, `invalid_shape`, `detached`.
 *
 * ```ts
 * const { loss } = await scoreLogits({ logits, labels: train.labels }, { scores: ['loss'], samples: train.labels.length })
 * const easiest = await selectSamples(train, { order: 'asc', scores: loss, keep: 0.2 })
 * ```
 */
export async function selectSamples(data: Pick<Dataset, 'labels' | 'classes'>, options: SelectOptions): Promise<Selection> {
  const what = 'selectSamples'
  if (isRecord(data) && Array.isArray(data.classes)) checkLabelled(what, data)
  const { labels, classes } = (isRecord(data) ? data : {}) as Partial<typeof data>
  if (!Array.isArray(classes) || labels?.length === undefined)
    throw expected('invalid_option', `${what}: data`, 'a data set with classes and labels', data)
  const samples = labels.length
  const turn = new Turn()
  await checkLabels(what, labels, samples, classes.length)
  const rule = await checkSelectOptions(what, options, samples)
  const byClass = await rowsByClass(labels, classes.length, turn)
  checkClasses(what, classes, byClass, rule)
  await turn.breathe()
  const { scores } = options
  const keys = scores ? await sortKeys(rule, scores, labels, classes.length) : new Float64Array()
  const input = {
    rule,
    keys,
    ...(options.features && { features: options.features }),
    ...(options.gradients && { gradients: options.gradients }),
    ...(options.device && { device: options.device }),
    weights: new Map<number, number>(),
  }
  await turn.breathe()
  const { indices, raised } = await chooseRows(input, labels, byClass)
  const counts = new Int32Array(classes.length)
  await inPieces(indices.length, turn, (from, to) => {
    for (let i = from; i < to; i++) counts[labels[indices[i]]]++
  })
  const emptied = counts.indexOf(0)
  if (emptied >= 0) {
    const say = `class '${classes[emptied]}' would keep none of its ${byClass[emptied].length} samples`
    throw new AludelError('invalid_option', `${what}: ${say}; keep more, or leave minimumPerClass at 1`)
  }
  return {
    indices,
    counts,
    raised,
    thinned: [...counts.keys()].filter((c) => counts[c] < thinnedBelow * byClass[c].length),
    weights: input.weights.size > 0 ? await valuesOf(indices, (row) => input.weights.get(row) ?? 0, turn) : null,
    values: scores ? await valuesOf(indices, (row) => scores[row], turn) : null,
    rule,
  }
}

/** The rows that stay by a rule that was found to be in order. */
export async function chooseRows(
  input: RankInput,
  labels: ArrayLike<number>,
  byClass: readonly Int32Array[],
): Promise<{ indices: Int32Array; raised: RaisedCount[] }> {
  const kept = new Uint8Array(labels.length)
  const raised: RaisedCount[] = []
  const turn = new Turn()
  for (const group of await groupsOf(input.rule, byClass, labels.length, turn)) {
    raised.push(...(await keepOf(group, input, labels, kept)))
    await turn.breathe()
  }
  return { indices: await markedRows(kept, turn), raised }
}

async function valuesOf(rows: Int32Array, value: (row: number) => number, turn: Turn): Promise<Float64Array> {
  const values = new Float64Array(rows.length)
  await inPieces(rows.length, turn, (from, to) => {
    for (let i = from; i < to; i++) values[i] = value(rows[i])
  })
  return values
}

async function markedRows(marks: Uint8Array, turn: Turn): Promise<Int32Array> {
  const rows = new Int32Array(marks.length)
  let count = 0
  await inPieces(marks.length, turn, (from, to) => {
    for (let row = from; row < to; row++) if (marks[row] === 1) rows[count++] = row
  })
  return rows.slice(0, count)
}

interface ClassGroup extends Group {
  readonly classes: readonly number[]
}

async function groupsOf({ scope }: SelectRule, byClass: readonly Int32Array[], samples: number, turn: Turn): Promise<ClassGroup[]> {
  if (scope === 'class') return byClass.map((rows, c) => ({ part: `class ${c}`, rows, classes: [c] }))
  const rows = new Int32Array(samples)
  await inPieces(samples, turn, (from, to) => {
    for (let row = from; row < to; row++) rows[row] = row
  })
  return [{ part: 'all', rows, classes: [...byClass.keys()] }]
}

function checkClasses(what: string, classes: readonly string[], byClass: readonly Int32Array[], { minimumPerClass }: SelectRule): void {
  for (const [c, rows] of byClass.entries()) {
    if (rows.length === 0) throw expected('invalid_data', `${what}: class '${classes[c]}'`, 'at least one sample', 'none')
    if (rows.length < minimumPerClass) {
      const todo = 'lower minimumPerClass'
      throw expected('invalid_option', `${what}: class '${classes[c]}'`, `at least ${minimumPerClass} samples`, rows.length, todo)
    }
  }
}

/** Marks what stays of a group; classes of it that fall below the minimum take the best of what would go. */
async function keepOf(group: ClassGroup, input: RankInput, labels: ArrayLike<number>, kept: Uint8Array): Promise<RaisedCount[]> {
  const { order, minimumPerClass } = input.rule
  const ranked = await ranks[order](group, input)
  const counts = new Int32Array(Math.max(...group.classes) + 1)
  const keep = (row: number) => {
    kept[row] = 1
    counts[labels[row]]++
  }
  const turn = new Turn()
  await inPieces(ranked.end - ranked.begin, turn, (from, to) => {
    for (let i = ranked.begin + from; i < ranked.begin + to; i++) keep(ranked.list[i])
  })
  const raised = group.classes.filter((c) => counts[c] < minimumPerClass).map((c) => ({ class: c, from: counts[c], to: minimumPerClass }))
  let missing = raised.reduce((sum, { from, to }) => sum + to - from, 0)
  let looked = 0
  for (const row of missing > 0 ? runnersUp(ranked) : []) {
    if (++looked % 4096 === 0) await turn.breathe()
    if (counts[labels[row]] >= minimumPerClass) continue
    keep(row)
    if (--missing === 0) break
  }
  return raised
}
