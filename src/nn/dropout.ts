/** @file Dropout: activations set to 0 at random in training, the others scaled up, so that the mean stays. */
import { concat, greaterEqual, mul, randomUniform, type Value } from '../engine/index.js'
import type { ApplyOptions } from './module.js'

/** The masks of one pass are addressed by (key of the network, counter, firstDropoutPurpose + place in the network). */
export const firstDropoutPurpose = 0x2000

/**
 * x [G, ...] with a share `rate` of its elements set to 0 and the others divided by 1 - rate; x itself in eval mode and without draws.
 * `place` numbers the dropout layers of a network.
 */
export function dropout(x: Value, rate: number, place: number, { mode = 'train', draws }: ApplyOptions): Value {
  if (mode === 'eval' || draws === undefined || rate === 0) return x
  const each = [1, ...x.shape.slice(1)]
  const uniform = draws.keys.map((key) => randomUniform(key, draws.counter, each, firstDropoutPurpose + place))
  const kept = greaterEqual(uniform.length === 1 ? uniform[0] : concat(uniform, 0), rate)
  return mul(x, mul(kept, 1 / (1 - rate)))
}
