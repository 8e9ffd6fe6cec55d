/** @file Angles by their cosine in float64, of ops that are there: a polynomial and one step towards the root of cos(angle) = c. */
import { abs, add, cos, greater, mul, select, sin, sqrt, sub, type Value } from '../../engine/index.js'

/** arccos(c) = sqrt(1 - c) p(c) on [0, 1] to 2e-8 (Abramowitz and Stegun, 4.4.46). */
const polynomial = [
  1.570796305, -0.2145988016, 0.0889789874, -0.0501743046, 0.030891881, -0.0170881256, 0.0066700901, -0.0012624911,
] as const

export interface Angle {
  /** In [0, pi]. */
  readonly angle: Value
  /** sqrt((1 - c)(1 + c)). */
  readonly sine: Value
}

/** The angle of cosine c in [-1, 1], f64, as atan2(sine, c): off by rounding alone. Its derivative in c is none that is of use at |c| = 1. */
export function angleOf(c: Value): Angle {
  const size = abs(c)
  const sine = sqrt(mul(sub(1, c), add(c, 1)))
  let p: Value = mul(size, polynomial[7])
  for (let i = 6; i > 0; i--) p = mul(add(p, polynomial[i]), size)
  const near = mul(sqrt(sub(1, size)), add(p, polynomial[0]))
  // sin(angle - near) is the error up to its cube
  const acute = add(near, sub(mul(sine, cos(near)), mul(size, sin(near))))
  return { angle: select(greater(c, 0), acute, sub(Math.PI, acute)), sine }
}
