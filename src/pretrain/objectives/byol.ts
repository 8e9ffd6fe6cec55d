/** @file BYOL (2006.07733): the predictions of one view point where the target network's projections of the other do. */
import { add, mean, mul, stopGradient, sub, sum, type Value } from '../../engine/index.js'
import { unitRows } from './embeddings.js'

/** mean(2 - 2 cos(p1, z2)) + mean(2 - 2 cos(p2, z1)); predictions p and projections z [N, D], no gradient into z -> []. */
export function byol(predictions: readonly [Value, Value], projections: readonly [Value, Value]): Value {
  const [[p1, p2], [z1, z2]] = [predictions, projections]
  return add(distance(p1, z2), distance(p2, z1))
}

function distance(p: Value, z: Value): Value {
  const cosines = sum(mul(unitRows(p), unitRows(stopGradient(z))), { axes: [1] })
  return mean(sub(2, mul(cosines, 2)))
}

/** Share that the target network keeps at `step` of `steps`: from `tau` to 1 along a cosine. */
export const targetShare = (tau: number, step: number, steps: number): number =>
  1 - ((1 - tau) * (Math.cos((Math.PI * step) / steps) + 1)) / 2
