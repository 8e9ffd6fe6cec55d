/** @file Replays of where soft-labelled sets start: which images are chosen in a given order, and the mean logits of the experts that are right. */
import { chooseRight, predictedClass, RightLogits } from '../distill/trajectory/initial-labels.js'
import type { GoldenCase } from './case-file.js'
import { type CheckList, listTensor } from './compare.js'
import type { GoldenEngine } from './engines.js'
import { listAt } from './fields.js'
import { stored } from './selection-scores.js'

/** Logits [images, classes] of each expert, as the engine keeps them. */
const expertLogits = (golden: GoldenCase, { name }: GoldenEngine, part: string) =>
  (listAt(golden, part, 'expert_logits') as number[][][]).map((rows) => ({ logits: stored(name, rows.flat()), classes: rows[0].length }))

export async function replayLabelStart(golden: GoldenCase, engine: GoldenEngine, checks: CheckList): Promise<void> {
  const experts = expertLogits(golden, engine, 'soft_label_init')
  const labels = listAt(golden, 'soft_label_init', 'labels') as number[]
  const mean = new RightLogits(labels, experts[0].classes)
  for (const { logits } of experts) mean.add(logits)
  const wanted = (name: string) => listTensor((listAt(golden, 'soft_label_init', name) as number[][]).flat())
  checks.add('label_start', 'score', listTensor(mean.mean()), wanted('init_label_logits'))
  const right = experts.flatMap(({ logits, classes }) => labels.map((label, i) => Number(predictedClass(logits, i, classes) === label)))
  checks.add('label_start.right', 'exact', listTensor(right), wanted('right'))
}

export async function replaySampleStart(golden: GoldenCase, engine: GoldenEngine, checks: CheckList): Promise<void> {
  const part = 'init_selection'
  const experts = expertLogits(golden, engine, part)
  const labels = listAt(golden, part, 'labels') as number[]
  const orders = (listAt(golden, part, 'order_per_class') as number[][]).map((rows) => Int32Array.from(rows))
  const wanted = listAt(golden, part, 'chosen_in_order') as number[][]
  // asked for at once, and a few at a time: the choice is the same
  for (const together of [labels.length, 3]) {
    const { rows, lastExperts } = await chooseRight(orders, {
      ...{ ipc: wanted[0].length, experts: [...experts.keys()], together },
      async right(expert, asked) {
        const { logits, classes } = experts[expert]
        return Array.from(asked, (row) => predictedClass(logits, row, classes) === labels[row])
      },
    })
    checks.add(`sample_start.${together}`, 'exact', listTensor(rows.flat()), listTensor(wanted.flat()))
    const last = listTensor(listAt(golden, part, 'last_expert_used') as number[])
    checks.add(`sample_start.${together}.expert`, 'exact', listTensor(lastExperts), last)
  }
}
