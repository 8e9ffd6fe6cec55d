/** @file Replays of selection on features: herding, k-center, prototypes, moderate, CRAIG, GradMatch; under f32 from float32 features. */
import type { Device } from '../engine/runtime/device.js'
import { craig } from '../scores/craig.js'
import { gradMatch } from '../scores/grad-match.js'
import { type HerdOptions, herd } from '../scores/herding.js'
import { kCenterGreedy } from '../scores/k-center.js'
import { kMeans } from '../scores/k-means.js'
import { type Matrix, takeRows } from '../scores/matrix.js'
import { medianDistance } from '../scores/moderate.js'
import { classPrototypicality, clusterPrototypicality } from '../scores/prototypicality.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList, listTensor, type Quantity } from './compare.js'
import type { GoldenEngine } from './engines.js'
import { fieldAt, listAt, numberAt } from './fields.js'
import { stored } from './selection-scores.js'

export const isGeometry = (golden: GoldenCase): boolean =>
  fieldAt(golden, 'k_center', 'order') !== undefined && fieldAt(golden, 'herding', 'order') !== undefined

type Path = readonly (string | number)[]

/** What all parts of a case need. */
interface Replay {
  /** Where herding and k-center pick, of the engine that has one. */
  readonly place: { readonly device?: Device }
  readonly golden: GoldenCase
  readonly x: Matrix
  readonly labels: readonly number[]
  readonly classes: number
  matrix(...path: Path): Matrix
  check(quantity: Quantity, actual: ArrayLike<number>, ...path: Path): void
}

export async function replayGeometry(golden: GoldenCase, { name, device }: GoldenEngine): Promise<Check[]> {
  const checks = new CheckList(name)
  const numbers = (...path: Path): readonly number[] => {
    const value = fieldAt(golden, ...path)
    return typeof value === 'number' ? [value] : (listAt(golden, ...path).flat() as number[])
  }
  const matrix = (...path: Path): Matrix => {
    const rows = listAt(golden, ...path).length
    const data = stored(name, numbers(...path))
    return { data, shape: [rows, data.length / rows] }
  }
  const labels = numbers('y')
  const replay: Replay = {
    golden,
    x: matrix('X'),
    labels,
    classes: Math.max(...labels) + 1,
    place: device ? { device } : {},
    matrix,
    check: (quantity, actual, ...path) => checks.add(path.join('.'), quantity, listTensor(actual), listTensor(numbers(...path))),
  }
  await replayKCenter(replay)
  await replayHerding(replay)
  await replayClasses(replay)
  await replayPrototypes(replay)
  await replayGradients(replay)
  // a rule that takes the farthest row is a known mistake: its order must not come out
  const wrong = numbers('herding_argmax_variant_do_not_use', 'order')
  const ours = await herd(replay.x, wrong.length)
  const same = ours.every((row, t) => row === wrong[t]) ? 1 : 0
  checks.add('herding_argmax_variant_do_not_use', 'exact', listTensor([same]), listTensor([0]))
  return checks.checks
}

async function replayKCenter({ golden, x, matrix, check, place }: Replay): Promise<void> {
  for (const name of ['k_center', 'k_center_start3', 'k_center_start_nearest_mean']) {
    const start = name.endsWith('nearest_mean') ? {} : { start: numberAt(golden, name, 'start') }
    const { indices, radii } = await kCenterGreedy(x, listAt(golden, name, 'order').length, { ...start, ...place })
    check('exact', indices, name, 'order')
    check('score', radii, name, 'radii')
  }
  const { indices } = await kCenterGreedy(matrix('ties', 'X'), listAt(golden, 'ties', 'k_center_start0').length, { start: 0, ...place })
  check('exact', indices, 'ties', 'k_center_start0')
}

async function replayHerding({ golden, x, matrix, check, place }: Replay): Promise<void> {
  const order = async (from: Matrix, options: HerdOptions, ...path: Path) =>
    check('exact', await herd(from, listAt(golden, ...path).length, { ...options, ...place }), ...path)
  const repeats = { rule: 'welling', repeats: true } as const
  await order(x, {}, 'herding', 'order')
  await order(x, repeats, 'herding_welling_with_replacement')
  await order(x, { rule: 'welling' }, 'herding_welling_without_replacement')
  await order(matrix('ties', 'X'), {}, 'ties', 'herding')
  await order(matrix('ties', 'X'), repeats, 'ties', 'herding_welling_with_replacement')
}

async function replayClasses({ golden, x, labels, classes, check, place }: Replay): Promise<void> {
  const distances = await classPrototypicality(x, labels, { classes })
  const off = await medianDistance(distances, labels, { classes })
  for (let c = 0; c < classes; c++) {
    const rows = labels.flatMap((label, row) => (label === c ? [row] : []))
    const count = numberAt(golden, 'per_class', c, 'k')
    const members = takeRows(x, rows)
    const original = (chosen: Int32Array) => Array.from(chosen, (i) => rows[i])
    check('exact', original(await herd(members, count, place)), 'per_class', c, 'herding')
    // as published: the first row of the class is the first centre
    const { indices } = await kCenterGreedy(members, count, { start: 0, ...place })
    check('exact', original(indices), 'per_class', c, 'k_center')
    const nearest = rows.toSorted((a, b) => off[a] - off[b] || a - b).slice(0, count)
    check(
      'exact',
      nearest.toSorted((a, b) => a - b),
      'moderate',
      c,
      'kept',
    )
  }
}

async function replayPrototypes({ golden, x, labels, classes, check }: Replay): Promise<void> {
  for (const [distance, field] of [
    ['euclidean', 'euclid'],
    ['cosine', 'one_minus_cos'],
  ] as const) {
    check('score', await classPrototypicality(x, labels, { classes, distance }), 'supervised_prototype', field)
  }
  const clusters = listAt(golden, 'self_supervised_prototype', 'centroids').length
  const { centroids, assignment } = await kMeans(x, clusters, { init: 'firstRows' })
  check('score', centroids.data, 'self_supervised_prototype', 'centroids')
  check('exact', assignment, 'self_supervised_prototype', 'assign')
  for (const [distance, field] of [
    ['euclidean', 'euclid_nearest'],
    ['cosine', 'one_minus_max_cos'],
  ] as const) {
    check('score', await clusterPrototypicality(x, { clusters, distance, init: 'firstRows' }), 'self_supervised_prototype', field)
  }
}

async function replayGradients({ golden, matrix, check }: Replay): Promise<void> {
  const facility = await craig(matrix('craig', 'grads'), numberAt(golden, 'craig', 'k'))
  check('exact', facility.indices, 'craig', 'order')
  check('score', facility.values, 'craig', 'value')
  check('exact', facility.weights, 'craig', 'cluster_size')
  const lambda = numberAt(golden, 'gradmatch', 'lam')
  const pursuit = await gradMatch(matrix('gradmatch', 'grads'), numberAt(golden, 'gradmatch', 'k'), { lambda })
  check('exact', pursuit.indices, 'gradmatch', 'order')
  check('score', pursuit.weights, 'gradmatch', 'weights')
  check('score', [pursuit.residualNorm], 'gradmatch', 'residual_norm')
}
