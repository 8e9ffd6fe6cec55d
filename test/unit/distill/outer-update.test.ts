/** @file The update of pixels, labels and learning rate: its gate, its guard and the average, in float64. */
import { describe, expect, it } from 'vitest'
import { type OuterRates, outerUpdate } from '../../../src/distill/trajectory/outer-update.js'
import { interpret, spec, trace } from '../../../src/engine/index.js'

const rates: OuterRates = {
  ...{ imageLr: 2, imageMomentum: 0.5, labelLr: 4, labelMomentum: 0.5, lrLr: 1, lrMomentum: 0.5 },
  ...{ threshold: 1, emaDecay: 0.75 },
}
const names = ['images', 'velocity', 'labels', 'labelVelocity', 'learningRate', 'lrVelocity', 'ema', 'applied', 'guarded', 'loss'] as const

/** All values after one update from images 10 (velocity 2, average 6), labels 3 (velocity 1) and learning rate 0.5 (velocity 0.25). */
function updated(
  loss: number,
  lrGradient: number,
  changes: Partial<OuterRates> = {},
  [pixels, labelGradient]: readonly [number, number] = [1, 2],
): Record<(typeof names)[number], number> {
  const one = spec([])
  const traced = trace(
    (images, velocity, logits, labelVelocity, learningRate, lrVelocity, ema, lossValue, gx, gy, glr) => {
      const state = { images, velocity, labels: { logits, velocity: labelVelocity }, learningRate, lrVelocity, ema }
      const { labels, ...next } = outerUpdate(state, lossValue, { images: gx, labels: gy, lr: glr }, { ...rates, ...changes })
      const values = { ...next, labels: labels?.logits, labelVelocity: labels?.velocity }
      return names.flatMap((name) => values[name] ?? [])
    },
    Array.from({ length: 11 }, () => one),
  )
  const inputs = [10, 2, 3, 1, 0.5, 0.25, 6, loss, pixels, labelGradient, lrGradient]
  const results = interpret(
    traced,
    inputs.map((x) => ({ shape: [], data: Float64Array.of(x) })),
  )
  return Object.fromEntries(results.map(({ data }, i) => [names[i], data[0]])) as Record<(typeof names)[number], number>
}

const before = { images: 10, velocity: 2, labels: 3, labelVelocity: 1, learningRate: 0.5, lrVelocity: 0.25, ema: 6 }
const step = { images: 6, velocity: 2, labels: -7, labelVelocity: 2.5, ema: 6, applied: 1 }

describe('outerUpdate', () => {
  it('steps with momentum on all three, and moves the average', () =>
    expect(updated(0.5, 0.125)).toEqual({ ...step, learningRate: 0.25, lrVelocity: 0.25, guarded: 0, loss: 0.5 }))

  it('steps at a loss of exactly the threshold', () => expect(updated(1, 0.125).applied).toBe(1))

  it.each([1.001, Number.NaN, Number.POSITIVE_INFINITY])('changes nothing, momenta and average included, at a loss of %d', (loss) =>
    expect(updated(loss, 10)).toEqual({ ...before, applied: 0, guarded: 0, loss }),
  )

  it('has no gate without a threshold but that of a finite loss', () => {
    expect(updated(1e9, 0.125, { threshold: null }).applied).toBe(1)
    expect(updated(Number.NaN, 0.125, { threshold: null })).toEqual({ ...before, applied: 0, guarded: 0, loss: Number.NaN })
  })

  it.each([0.375, 0.5, Number.NaN])(
    'keeps a learning rate that would become 0 or less, or no number, and clears its momentum: gradient %d',
    (gradient) => expect(updated(0.5, gradient)).toEqual({ ...step, learningRate: 0.5, lrVelocity: 0, guarded: 1, loss: 0.5 }),
  )

  it.each([
    ['pixels', Number.NaN, 2],
    ['pixels that ran away', 1e200, 2],
    ['labels', 1, Number.POSITIVE_INFINITY],
  ])('changes nothing, and tells a loss that is none, where a gradient of the %s is none', (_, pixels, labels) => {
    const { loss, ...state } = updated(0.5, 0.125, {}, [pixels, labels])
    expect(state).toEqual({ ...before, applied: 0, guarded: 0 })
    expect(Number.isFinite(loss)).toBe(false)
    // above the threshold it is skipped as any other
    expect(updated(1.5, 0.125, {}, [pixels, labels])).toEqual({ ...before, applied: 0, guarded: 0, loss: 1.5 })
  })
})
