/** @file LARS against its formula by hand. */
import { describe, expect, it } from 'vitest'
import { interpret, refTensor, spec, trace } from '../../../src/engine/index.js'
import { type LarsOptions, larsUpdate } from '../../../src/optim/lars.js'

function step(p: number[], g: number[], v: number[], lr: number, options: Omit<LarsOptions, 'lr'>) {
  const shape = [p.length]
  const traced = trace(
    (parameter, gradient, velocity, rate) => {
      const next = larsUpdate(parameter, velocity, gradient, { ...options, lr: rate })
      return [next.parameter, next.velocity]
    },
    [spec(shape), spec(shape), spec(shape), spec([])],
  )
  const inputs = [p, g, v].map((data) => refTensor(shape, Float64Array.from(data)))
  const [parameter, velocity] = interpret(traced, [...inputs, refTensor([], Float64Array.of(lr))])
  return { p: Array.from(parameter.data), v: Array.from(velocity.data) }
}

const close = (a: number[], b: number[]) => {
  for (const [i, x] of a.entries()) expect(x).toBeCloseTo(b[i], 10)
}

describe('LARS', () => {
  it('scales decayed gradients by the ratio of norms, at most to the rate itself', () => {
    const [p, g, v, decay, eta] = [[3, 4], [0.6, 0.8], [0.1, 0], 0.01, 0.02]
    const trust = (eta * 5) / (1 + 5 * decay + 1e-8)
    const scaled = (rate: number) => g.map((x, i) => (x + decay * p[i]) * rate + 0.9 * v[i])
    const options = { weightDecay: decay, eta, adapt: true }
    // 0.0952 / 0.3 < 1
    close(step(p, g, v, 0.3, options).v, scaled(trust / 0.3))
    close(
      step(p, g, v, 0.3, options).p,
      p.map((x, i) => x - 0.3 * scaled(trust / 0.3)[i]),
    )
    // 0.0952 / 0.05 > 1: clipped
    close(step(p, g, v, 0.05, options).v, scaled(1))
    close(step(p, g, v, 0.05, { ...options, clip: false }).v, scaled(trust))
  })

  it('takes gradients as they are without adaptation and where a norm is 0', () => {
    close(step([3, 4], [0.6, 0.8], [0, 0], 0.3, { weightDecay: 0.1, adapt: false }).v, [0.6, 0.8])
    close(step([0, 0], [0.6, 0.8], [0, 0], 0.3, { weightDecay: 0.1, adapt: true }).v, [0.6, 0.8])
    close(step([3, 4], [0, 0], [1, 0], 0.3, { weightDecay: 0.1, adapt: true }).v, [0.9, 0])
    close(step([3, 4], [1, 1], [0, 0], 0, { adapt: true }).p, [3, 4])
  })
})
