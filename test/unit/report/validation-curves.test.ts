/** @file The validation of a run in its report: the best step, and curves that leave out what is no number. */
import { expect, it } from 'vitest'
import type { StepEvent } from '../../../src/experiment/types.js'
import { validationCurves } from '../../../src/report/regression-curves.js'

const step = (at: number, validation?: StepEvent['validation']): StepEvent => ({
  ...{ type: 'step', step: at, iterations: 9, loss: 1, seconds: at, imagesPerSecond: 1 },
  ...(validation && { validation }),
})

it('names the best step and draws loss and accuracy', () => {
  const steps = [
    ...[step(1), step(2, { loss: 1.5, accuracy: 20, bestStep: 2 }), step(3), step(4, { loss: 1.25, accuracy: 31.25, bestStep: 4 })],
    ...[step(6, { loss: 1.375, accuracy: 40, bestStep: 4 }), step(8, { loss: Number.NaN, accuracy: 10, bestStep: 4 })],
  ]
  const html = validationCurves(steps)
  expect(html).toMatch(/lowest loss, 1\.25, after step 4: 31\.25 % right/)
  expect(html).toContain('[1.5,1.25,1.375]')
  expect(html).toContain('[20,31.25,40]')
  expect(html).not.toContain('NaN')
})

it('is left out where nothing was held out', () => {
  expect(validationCurves([step(1), step(2)])).toBe('')
})
