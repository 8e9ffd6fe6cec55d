/**
 * @file Replays of the difficulty scores that expert trajectories are scheduled by: EL2N and cross-entropy at ordinary and extreme logits, means
 * over runs and the orders they give, the last layer's gradient norm, cross-entropy with labels that are logits, and where those labels start.
 */

import { groupByClass } from '../data/dataset.js'
import { softmax, softmaxCe } from '../engine/index.js'
import { stableOrder } from '../prune/stable-order.js'
import { ScoreMean } from '../scores/epoch-window.js'
import { type LogitScoreName, logitScores, readerOf, scoreLogits } from '../scores/logits.js'
import type { Matrix } from '../scores/matrix.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList, listTensor } from './compare.js'
import type { GoldenEngine } from './engines.js'
import { fieldAt, listAt } from './fields.js'
import { replayLabelStart, replaySampleStart } from './initial-samples.js'
import { stored } from './selection-scores.js'
import type { GoldenTensor } from './tensor.js'

export const isDifficulty = (golden: GoldenCase): boolean =>
  Array.isArray(fieldAt(golden, 'groups', 'extreme', 'el2n')) && Array.isArray(fieldAt(golden, 'multi_run', 'order_easy_to_hard'))

type Path = readonly (string | number)[]
type Part = (golden: GoldenCase, engine: GoldenEngine, checks: CheckList) => Promise<void>

const numbersAt = (golden: GoldenCase, ...path: Path): readonly number[] => listAt(golden, ...path) as number[]

/** A list of rows as a tensor [rows, width]. */
export function rowsAt(golden: GoldenCase, ...path: Path): GoldenTensor {
  const rows = listAt(golden, ...path) as readonly (readonly number[])[]
  return { shape: [rows.length, rows[0].length], data: Float64Array.from(rows.flat()) }
}

/** Logits as the engine keeps them, for scores that are computed on the JavaScript side. */
const matrixAt = (golden: GoldenCase, { name }: GoldenEngine, ...path: Path): Matrix => {
  const { shape, data } = rowsAt(golden, ...path)
  return { shape: [shape[0], shape[1]], data: stored(name, data) }
}

async function scoresOf<N extends LogitScoreName>(
  scores: readonly N[],
  logits: Matrix,
  labels: readonly number[],
  featureNorms?: number[],
) {
  return scoreLogits({ logits, labels, ...(featureNorms && { featureNorms }) }, { scores, samples: labels.length })
}

/** Both ways to a score: from logits that were read back, and in the program that computed them. */
async function replayGroup(golden: GoldenCase, engine: GoldenEngine, checks: CheckList, group: string): Promise<void> {
  const logits = matrixAt(golden, engine, 'groups', group, 'logits')
  const labels = numbersAt(golden, 'groups', group, 'labels')
  const expected = (name: string) => listTensor(numbersAt(golden, 'groups', group, name))
  const scores = await scoresOf(['el2n', 'loss'], logits, labels)
  checks.add(`${group}.el2n`, 'score', listTensor(scores.el2n), expected('el2n'))
  checks.add(`${group}.ce`, 'score', listTensor(scores.loss), expected('ce'))
  const read = readerOf(group, { logits, labels }, Object.values(logitScores).slice(0, 1))
  checks.add(`${group}.argmax`, 'exact', listTensor(labels.map((_, i) => read(i).best)), expected('argmax'))
  const program = await engine.run((values) => softmaxCe(values.logits, values.labels), {
    logits: rowsAt(golden, 'groups', group, 'logits'),
    labels: { ...listTensor(labels), dtype: 'i32' },
  })
  checks.add(`${group}.el2n.program`, 'score', program.el2n, expected('el2n'))
  checks.add(`${group}.ce.program`, 'score', program.loss, expected('ce'))
}

const replayGroups: Part = async (golden, engine, checks) => {
  for (const group of ['ordinary', 'extreme']) await replayGroup(golden, engine, checks, group)
}

const replayRuns: Part = async (golden, engine, checks) => {
  const labels = numbersAt(golden, 'multi_run', 'labels')
  const mean = new ScoreMean(labels.length)
  for (let run = 0; run < listAt(golden, 'multi_run', 'runs').length; run++) {
    const { el2n } = await scoresOf(['el2n'], matrixAt(golden, engine, 'multi_run', 'runs', run), labels)
    checks.add(`runs.${run}.el2n`, 'score', listTensor(el2n), listTensor(numbersAt(golden, 'multi_run', 'el2n_per_run', run)))
    mean.add(el2n)
  }
  const scores = mean.mean()
  checks.add('el2n_mean', 'score', listTensor(scores), listTensor(numbersAt(golden, 'multi_run', 'el2n_mean')))
  const order = async (rows: Int32Array) => listTensor(await stableOrder(rows, scores))
  const wanted = (...path: Path) => listTensor(numbersAt(golden, 'multi_run', ...path))
  checks.add('order', 'exact', await order(Int32Array.from(labels.keys())), wanted('order_easy_to_hard'))
  for (const [label, rows] of groupByClass(labels, Math.max(...labels) + 1).entries())
    checks.add(`order.${label}`, 'exact', await order(rows), wanted('order_per_class', String(label)))
}

const replayLastLayer: Part = async (golden, engine, checks) => {
  const embedding = listAt(golden, 'last_layer_grad_norm', 'embedding') as readonly (readonly number[])[]
  const logits = matrixAt(golden, engine, 'last_layer_grad_norm', 'logits')
  const norms = embedding.map((row) => Math.hypot(...stored(engine.name, row)))
  const { grandLastLayer } = await scoresOf(['grandLastLayer'], logits, numbersAt(golden, 'last_layer_grad_norm', 'labels'), norms)
  checks.add('last_layer_grad_norm', 'score', listTensor(grandLastLayer), listTensor(numbersAt(golden, 'last_layer_grad_norm', 'score')))
}

const replaySoftLabels: Part = async (golden, engine, checks) => {
  const logits = rowsAt(golden, 'soft_ce', 'logits')
  const labelLogits = rowsAt(golden, 'soft_ce', 'label_logits')
  const { loss } = await engine.run((values) => softmaxCe(values.logits, softmax(values.labelLogits)), { logits, labelLogits })
  checks.add('soft_ce', 'score', loss, listTensor(numbersAt(golden, 'soft_ce', 'per_sample')))
}

/** Each looks at one field of the file. */
const parts: readonly Part[] = [replayGroups, replayRuns, replayLastLayer, replaySoftLabels, replayLabelStart, replaySampleStart]

export async function replayDifficulty(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const checks = new CheckList(engine.name)
  for (const part of parts) await part(golden, engine, checks)
  return checks.checks
}
