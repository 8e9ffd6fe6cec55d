/** @file Replays of pruning rules: kept sets for percentages, fractions and windows, rounding, and the tables of ImageNet subsets. */

import { groupByClass } from '../data/dataset.js'
import { imagenetSubset } from '../data/imagenet-subsets.js'
import { AludelError } from '../errors.js'
import { type AmountRule, keptPlaces } from '../prune/amount.js'
import type { SelectRule } from '../prune/options.js'
import { sortKeys } from '../prune/rank.js'
import { chooseRows } from '../prune/select.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList, listTensor } from './compare.js'
import type { GoldenEngine } from './engines.js'
import { fieldAt, listAt, numberAt } from './fields.js'
import { stored } from './selection-scores.js'

export const isPruning = (golden: GoldenCase): boolean => fieldAt(golden, 'scores_ties_kept', 'percent_asc') !== undefined

type Wanted = Pick<SelectRule, 'order' | 'amount'> & { readonly scope?: SelectRule['scope'] }

/** The rule that a list of kept rows is for, by its name in the file and, where it is one of several, its own number. */
function wantedOf(name: string, number: string): Wanted {
  const percent: AmountRule = { kind: 'percent', keepPercent: Number(number) }
  const fraction: AmountRule = { kind: 'fraction', drop: Number(number) }
  const [, side, from, to] = /^window_(small|large)_([\d.]+)_([\d.]+)$/.exec(name) ?? []
  if (side) return { order: side === 'large' ? 'asc' : 'desc', amount: { kind: 'window', from: Number(from), to: Number(to) } }
  const byName: Readonly<Record<string, Wanted>> = {
    percent_asc: { order: 'asc', amount: percent },
    percent_desc: { order: 'desc', amount: percent },
    global_percent_asc: { order: 'asc', amount: percent, scope: 'global' },
    // what drops large scores keeps small ones
    drop_large: { order: 'asc', amount: fraction },
    drop_small: { order: 'desc', amount: fraction },
  }
  if (!Object.hasOwn(byName, name)) throw new AludelError('invalid_data', `expected a known rule but received '${name}'`)
  return byName[name]
}

export async function replayPruning(golden: GoldenCase, { name: engine }: GoldenEngine): Promise<Check[]> {
  const labels = listAt(golden, 'labels') as readonly number[]
  const classes = Math.max(...labels) + 1
  const byClass = groupByClass(labels, classes)
  const checks = new CheckList(engine)
  checks.add(
    'class_counts',
    'exact',
    listTensor(byClass.map(({ length }) => length)),
    listTensor(listAt(golden, 'class_counts') as number[]),
  )
  const check = async (scores: ArrayLike<number>, kept: readonly number[], tensor: string, wanted: Wanted) => {
    // the file's rules know no minimum: a class may be emptied
    const rule: SelectRule = { scope: 'class', minimumPerClass: 0, seed: null, ccs: null, ...wanted }
    const input = { rule, keys: await sortKeys(rule, scores, labels, classes), weights: new Map<number, number>() }
    const { indices } = await chooseRows(input, labels, byClass)
    checks.add(tensor, 'exact', listTensor(indices), listTensor(kept))
  }
  for (const name of ['scores_ties', 'scores_gamma']) {
    const scores = stored(engine, listAt(golden, name) as number[])
    const rules = fieldAt(golden, `${name}_kept`) as Readonly<Record<string, number[] | Record<string, number[]>>>
    for (const [rule, kept] of Object.entries(rules)) {
      const lists = Array.isArray(kept) ? { '': kept } : kept
      for (const [number, list] of Object.entries(lists)) {
        const tensor = [name, rule, number].filter(Boolean).join('.')
        await check(scores, list, tensor, wantedOf(rule, number))
      }
    }
  }
  const cases = listAt(golden, 'int_truncation_cases') as readonly (readonly [number, number, number])[]
  const dropped = cases.map(([drop, n]) => keptPlaces({ kind: 'fraction', drop }, n)[0])
  checks.add('int_truncation_cases', 'exact', listTensor(dropped), listTensor(cases.map(([, , count]) => count)))
  return checks.checks
}

export const isImagenetSubsets = (golden: GoldenCase): boolean => Array.isArray(fieldAt(golden, 'imagenette', 'classes'))

export async function replayImagenetSubsets(golden: GoldenCase, { name: engine }: GoldenEngine): Promise<Check[]> {
  const checks = new CheckList(engine)
  for (const [name, entry] of Object.entries(golden.json)) {
    const { alias } = entry as { readonly alias: string | null }
    const subset = imagenetSubset(alias ?? name)
    const expected = listAt(golden, name, 'classes') as readonly { readonly synset: string; readonly name: string }[]
    checks.add(
      `${name}.imagenet_index`,
      'exact',
      listTensor(subset.classes.map(({ imagenetIndex }) => imagenetIndex)),
      listTensor(expected.map((_, label) => numberAt(golden, name, 'classes', label, 'imagenet_index'))),
    )
    const text = (list: typeof expected) => list.map((one) => `${one.synset} ${one.name}`).join()
    const same = subset.name === name && subset.alias === alias && text(subset.classes) === text(expected)
    checks.add(`${name}.classes`, 'exact', listTensor([same ? 1 : 0]), listTensor([1]))
  }
  return checks.checks
}
