/** @file L-BFGS (Nocedal and Wright, algorithms 7.4 and 7.5) with a backtracking line search, in float64. */
import { Turn } from '../event-loop.js'

export interface Evaluation {
  readonly value: number
  readonly gradient: Float64Array
}

export interface LbfgsOptions {
  /** Most iterations. */
  readonly iterations: number
  /** Pairs of the last steps that the curvature is taken from; default 10. */
  readonly history?: number
  /** Ends when no element of the gradient is larger; default 1e-7. */
  readonly tolerance?: number
  /** Hears of every iteration: how many are done, and the value. */
  readonly onIteration?: ((done: number, value: number) => void) | undefined
}

export interface Minimum extends Evaluation {
  readonly x: Float64Array
  readonly iterations: number
}

/** Share of the decrease along the gradient that a step must reach, and halvings of a step before it is given up. */
const sufficient = 1e-4
const halvings = 30

function dot(a: Float64Array, b: Float64Array): number {
  let total = 0
  for (let i = 0; i < a.length; i++) total += a[i] * b[i]
  return total
}

/** Minimises a smooth function from `start`, which is not changed. A value that is no number counts as larger than any. */
export async function minimise(
  evaluate: (x: Float64Array) => Promise<Evaluation> | Evaluation,
  start: Float64Array,
  { iterations, history = 10, tolerance = 1e-7, onIteration }: LbfgsOptions,
): Promise<Minimum> {
  const turn = new Turn()
  let x: Float64Array = Float64Array.from(start)
  let { value, gradient } = await evaluate(x)
  const pairs: { readonly s: Float64Array; readonly y: Float64Array; readonly rho: number }[] = []
  let done = 0
  while (done < iterations && gradient.some((g) => Math.abs(g) > tolerance)) {
    const direction = await descent(gradient, pairs, turn)
    const slope = dot(direction, gradient)
    if (!(slope < 0)) break
    let step = pairs.length === 0 ? Math.min(1, 1 / Math.sqrt(-slope)) : 1
    let next: { x: Float64Array; at: Evaluation } | undefined
    for (let i = 0; i < halvings && !next; i++, step /= 2) {
      const moved = x.map((v, j) => v + step * direction[j])
      const at = await evaluate(moved)
      if (at.value <= value + sufficient * step * slope) next = { x: moved, at }
      await turn.breathe()
    }
    if (!next) break
    const s = next.x.map((v, j) => v - x[j])
    const y = next.at.gradient.map((v, j) => v - gradient[j])
    const curvature = dot(s, y)
    if (curvature > 1e-12 * dot(y, y)) pairs.push({ s, y, rho: 1 / curvature })
    if (pairs.length > history) pairs.shift()
    x = next.x
    ;({ value, gradient } = next.at)
    done++
    onIteration?.(done, value)
  }
  return { x, value, gradient, iterations: done }
}

/** Minus the inverse Hessian of the pairs times the gradient. */
async function descent(
  gradient: Float64Array,
  pairs: readonly { readonly s: Float64Array; readonly y: Float64Array; readonly rho: number }[],
  turn: Turn,
): Promise<Float64Array> {
  const q = gradient.map((g) => -g)
  const alphas: number[] = []
  for (const { s, y, rho } of [...pairs].reverse()) {
    const alpha = rho * dot(s, q)
    alphas.unshift(alpha)
    for (let i = 0; i < q.length; i++) q[i] -= alpha * y[i]
    await turn.breathe()
  }
  const last = pairs.at(-1)
  const scale = last ? 1 / (last.rho * dot(last.y, last.y)) : 1
  for (let i = 0; i < q.length; i++) q[i] *= scale
  for (const [k, { s, y, rho }] of pairs.entries()) {
    const beta = rho * dot(y, q)
    for (let i = 0; i < q.length; i++) q[i] += (alphas[k] - beta) * s[i]
    await turn.breathe()
  }
  return q
}
