/** @file Normal numbers cut off at two deviations, from uniform ones: what JAX and Flax begin weights with. */
import { add, log, mul, sub, type Value } from '../engine/index.js'

/** erf(sqrt 2): the share of a normal distribution within two deviations. */
const within = 0.9544997361036416
/** Standard deviation of what is left of a standard normal distribution there. */
const leftStd = 0.8796256610342398

/** Polynomial of the inverse error function in -log(1 - y²) - 2.5 below 5 (Giles 2010, single precision), highest power first. */
const inverseErf = [
  ...[2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 2.1858087e-4],
  ...[-1.25372503e-3, -4.17768164e-3, 0.246640727, 1.50140941],
]

/** Of u in [0, 1), elementwise: mean 0, standard deviation 1, within ±2 / 0.8796. */
export function truncatedNormal(u: Value): Value {
  const y = mul(sub(mul(u, 2), 1), within)
  // 1 - y² is at least 0.089: no branch for the tails is needed
  const w = sub(mul(log(mul(sub(1, y), add(1, y))), -1), 2.5)
  const [first, ...rest] = inverseErf
  const series = rest.slice(1).reduce((sum, coefficient) => add(mul(sum, w), coefficient), add(mul(w, first), rest[0]))
  return mul(mul(series, y), Math.SQRT2 / leftStd)
}
