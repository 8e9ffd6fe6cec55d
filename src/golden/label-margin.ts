/** @file Replays of FRePo's label margin and its gradient. */
import { labelMargin } from '../distill/regression/label-margin.js'
import { grad } from '../engine/index.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList } from './compare.js'
import type { GoldenEngine } from './engines.js'
import { fieldAt, numberAt, scalarTensor, tensorAt } from './fields.js'

export const isLabelMargin = (golden: GoldenCase): boolean => fieldAt(golden, 'kind') === 'frepo_label_margin'

export async function replayLabelMargin(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const results = await engine.run(
    ({ labels }) => {
      const loss = labelMargin(labels)
      return { loss, gradient: grad(loss, [labels])[0] }
    },
    { labels: tensorAt(golden, 2, 'inputs', 'y_s') },
  )
  const checks = new CheckList(engine.name)
  checks.add('loss', 'loss', results.loss, scalarTensor(numberAt(golden, 'outputs', 'loss')))
  checks.add('gradient', 'gradient', results.gradient, tensorAt(golden, 2, 'outputs', 'd_y_s'))
  return checks.checks
}
