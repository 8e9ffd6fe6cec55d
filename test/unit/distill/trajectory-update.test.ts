/** @file The update after a sweep, where the loss is a number and the gradients are none. */
import { expect, it } from 'vitest'
import { outerUpdate } from '../../../src/distill/trajectory/outer-update.js'
import { interpret, spec, trace } from '../../../src/engine/index.js'

const rates = {
  ...{ imageLr: 2, imageMomentum: 0.5, labelLr: 3, labelMomentum: 0.9, lrLr: 0.25, lrMomentum: 0.5 },
  ...{ threshold: 1, emaDecay: 0.5 },
}
const before = { images: [1, 2], velocity: [0.5, 0], logits: [3], labelVelocity: [0.25], learningRate: [0.5], lrVelocity: [0], ema: [1, 1] }

function update(loss: number, images: readonly number[], logits: readonly number[], lr: readonly number[]) {
  const inputs = [...Object.values(before), [loss], images, logits, lr]
  const shapes = inputs.map((values, i) => (i === 4 || i === 5 || i === 7 || i === 10 ? [] : [values.length]))
  const traced = trace(
    (...v) => {
      const [x, velocity, y, yVelocity, learningRate, lrVelocity, ema, given, gx, gy, gLr] = v
      const state = { images: x, velocity, labels: { logits: y, velocity: yVelocity }, learningRate, lrVelocity, ema }
      const next = outerUpdate(state, given, { images: gx, labels: gy, lr: gLr }, rates)
      const labels = next.labels ?? state.labels
      const after = [next.images, next.velocity, labels.logits, labels.velocity, next.learningRate, next.lrVelocity, next.ema ?? ema]
      return [...after, next.loss, next.applied]
    },
    shapes.map((shape) => spec(shape)),
  )
  const results = interpret(
    traced,
    inputs.map((values, i) => ({ shape: shapes[i], data: Float64Array.from(values) })),
  ).map(({ data }) => [...data])
  return { state: results.slice(0, 7), loss: results[7][0], applied: results[8][0] }
}

const unchanged = Object.values(before)

it('moves everything where loss and gradients are numbers', () => {
  const { state, loss, applied } = update(0.5, [1, -1], [0.5], [0.5])
  expect([loss, applied]).toEqual([0.5, 1])
  expect(state).toEqual([[-1.5, 4], [1.25, -1], [3 - 3 * 0.725], [0.725], [0.375], [0.5], [-0.25, 2.5]])
})

it.each([
  ['pixels', [Number.NaN, 1], [0.5], [0.5]],
  ['pixels that ran away', [1e200, 1], [0.5], [0.5]],
  ['labels', [1, 1], [Number.POSITIVE_INFINITY], [0.5]],
  ['learning rate', [1, 1], [0.5], [Number.NaN]],
])('leaves all as it was, and tells a loss that is none, for a gradient of the %s that is none', (_, images, logits, lr) => {
  const { state, loss, applied } = update(0.5, images, logits, lr)
  expect(state).toEqual(unchanged)
  expect(applied).toBe(0)
  expect(Number.isFinite(loss)).toBe(false)
})

it('counts as skipped, not as diverged, where the loss is above the threshold anyway', () => {
  const { state, loss, applied } = update(1.5, [Number.NaN, 1], [0.5], [0.5])
  expect([state, loss, applied]).toEqual([unchanged, 1.5, 0])
})
