/** @file Replays of score cases: logits of linear models, losses of runs and epochs, correctness over presentations. */
import { lossConverge, lossInit, windowMean } from '../scores/epoch-window.js'
import { ForgettingRun, forgettingScore } from '../scores/forgetting.js'
import { type LogitScoreName, scoreLogits } from '../scores/logits.js'
import type { Matrix } from '../scores/matrix.js'
import { type GoldenCase, readArray } from './case-file.js'
import { type Check, CheckList, type EngineName, listTensor } from './compare.js'
import type { GoldenEngine } from './engines.js'
import { fieldAt, listAt } from './fields.js'
import type { GoldenTensor } from './tensor.js'

/** Numbers as an engine keeps them: scores of the product come from float32 logits and features. */
export const stored = (engine: EngineName, values: ArrayLike<number>): Float32Array | Float64Array =>
  engine === 'f32' ? Float32Array.from(values) : Float64Array.from(values)

export const isLogitScores = ({ arrayNames }: GoldenCase): boolean => ['logits', 'el2n', 'aum_margin'].every((n) => arrayNames.includes(n))

/** Names of the files' arrays by score. */
const arrayOf: Readonly<Partial<Record<LogitScoreName, string>>> = {
  loss: 'ce',
  el2n: 'el2n',
  margin: 'margin',
  marginTrue: 'margin_true',
  aum: 'aum_margin',
  entropy: 'entropy',
  leastConfidence: 'least_confidence',
}

const scoresOf = Object.keys(arrayOf) as LogitScoreName[]

/** Runs lead the axes of a case of several models. */
export async function replayLogitScores(golden: GoldenCase, { name }: GoldenEngine): Promise<Check[]> {
  const logits = readArray(golden, 'logits')
  const labels = readArray(golden, 'y').data
  const [samples, classes] = logits.shape.slice(-2)
  const runs = logits.shape.length === 3 ? logits.shape[0] : 1
  // the inputs of the last layer: the samples themselves in a linear model
  const features = readArray(golden, golden.arrayNames.includes('features') ? 'features' : 'X')
  const featureNorms = rowNorms(features, samples)
  const checks = new CheckList(name)
  const means = { el2n: new Float64Array(samples), grandLastLayer: new Float64Array(samples) }
  const grand = golden.arrayNames.includes('grand_last_layer') ? 'grand_last_layer' : 'grand'
  for (let run = 0; run < runs; run++) {
    const part = logits.data.subarray(run * samples * classes, (run + 1) * samples * classes)
    const batch = { logits: { data: stored(name, part), shape: [samples, classes] } as Matrix, labels, featureNorms }
    const scores = await scoreLogits(batch, { scores: [...scoresOf, 'grandLastLayer'], samples })
    for (const [score, array] of [...Object.entries(arrayOf), ['grandLastLayer', grand] as const]) {
      const expected = readArray(golden, array).data.subarray(run * samples, (run + 1) * samples)
      checks.add(`${array}.${run}`, 'score', listTensor(scores[score as LogitScoreName]), listTensor(expected))
    }
    for (const score of ['el2n', 'grandLastLayer'] as const) {
      for (let i = 0; i < samples; i++) means[score][i] += scores[score][i] / runs
    }
  }
  if (golden.arrayNames.includes('el2n_mean')) {
    checks.add('el2n_mean', 'score', listTensor(means.el2n), readArray(golden, 'el2n_mean'))
    checks.add('grand_mean', 'score', listTensor(means.grandLastLayer), readArray(golden, 'grand_mean'))
  }
  return checks.checks
}

function rowNorms({ data }: GoldenTensor, rows: number): Float64Array {
  const width = data.length / rows
  return Float64Array.from({ length: rows }, (_, row) => Math.hypot(...data.subarray(row * width, (row + 1) * width)))
}

export const isEpochLosses = ({ arrayNames }: GoldenCase): boolean =>
  ['losses', 'loss_init', 'loss_converge'].every((n) => arrayNames.includes(n))

export async function replayEpochLosses(golden: GoldenCase, { name }: GoldenEngine): Promise<Check[]> {
  const { shape, data } = readArray(golden, 'losses')
  const [runs, epochs, samples] = shape
  const losses = Array.from({ length: runs }, (_, r) =>
    Array.from({ length: epochs }, (_, e) => stored(name, data.subarray((r * epochs + e) * samples, (r * epochs + e + 1) * samples))),
  )
  const scalar = (array: string): number => readArray(golden, array).data[0]
  const checks = new CheckList(name)
  const check = (array: string, mean: Float64Array) => checks.add(array, 'mean', listTensor(mean), readArray(golden, array))
  check('loss_init', windowMean(losses, lossInit(scalar('e_init'))))
  check('loss_converge', windowMean(losses, lossConverge(epochs, scalar('e_conv'))))
  check('loss_all', windowMean(losses))
  return checks.checks
}

export const isForgetting = (golden: GoldenCase): boolean =>
  Array.isArray(fieldAt(golden, 'correct')) && Array.isArray(fieldAt(golden, 'runs'))

/** null stands for what is never reached: infinity in counts, no presentation in `first_learned`. */
const withNull = (values: ArrayLike<unknown>, stand: number): number[] =>
  Array.from(values, (value) => (value === null ? stand : Number(value)))

export async function replayForgetting(golden: GoldenCase, { name }: GoldenEngine): Promise<Check[]> {
  const checks = new CheckList(name)
  const exact = (tensor: string, actual: ArrayLike<unknown>, expected: readonly unknown[], stand = -1) =>
    checks.add(tensor, 'exact', listTensor(withNull(actual, stand)), listTensor(withNull(expected, stand)))
  // a count that stands for infinity in both lists: differences of infinities are no numbers
  const finite = (values: Float64Array): number[] => Array.from(values, (value) => (value === Number.POSITIVE_INFINITY ? -1 : value))
  const runs = listAt(golden, 'correct').map((correct, r) => {
    const bySample = correct as readonly (readonly number[])[]
    const run = new ForgettingRun(bySample.length)
    for (const time of bySample[0].keys()) run.presentAll(bySample.map((presentations) => presentations[time]))
    const field = (f: string) => listAt(golden, 'runs', r, f)
    exact(`events.${r}`, run.events, field('events'))
    exact(`first_learned.${r}`, run.firstLearned, field('first_learned'))
    exact(`presentations_needed.${r}`, run.presentationsNeeded, field('presentations_needed'))
    exact(`count_never_is_E.${r}`, run.counts(), field('count_never_is_E'))
    exact(`count_never_is_inf.${r}`, finite(run.counts('infinity')), field('count_never_is_inf'))
    exact(`count_never_is_plain.${r}`, run.counts('events'), field('count_never_is_plain'))
    return run
  })
  const total = forgettingScore(runs)
  exact('total_over_runs_never_is_E', total, listAt(golden, 'total_over_runs_never_is_E'))
  exact(
    'unforgettable',
    [...total.keys()].filter((row) => total[row] === 0),
    listAt(golden, 'unforgettable'),
  )
  exact(
    'order_ascending_stable',
    [...total.keys()].sort((a, b) => total[a] - total[b] || a - b),
    listAt(golden, 'order_ascending_stable'),
  )
  return checks.checks
}
