/** @file What fails a step of KRR-ST is told by that step alone, so that a run which was continued says the same. */
import { expect, it } from 'vitest'
import { checkSolved } from '../../../src/distill/regression/regression-record.js'

/** Six tries that failed; the smallest pivot is not positive. */
const failed = [1e-1, 0.1, -3, Number.NaN, 6, Number.NaN]
const step = { n: 5, step: 7, equal: [[0, 3]] }

it('is an error with the ridge, the pivot and the images that are the same, at any step', () => {
  const at = (moved: readonly number[]) => () => checkSolved(failed, moved, step)
  const wanted = { code: 'not_positive_definite', message: expect.stringMatching(/^step 8: .*5 x 5.*-3.*0\.1 of the trace.*rows 0 and 3/) }
  expect(at([Number.NaN, Number.NaN, Number.NaN, 0, 0])).toThrow(expect.objectContaining(wanted))
  expect(at([Number.NaN, Number.NaN, Number.NaN, 12, 3])).toThrow(expect.objectContaining(wanted))
})

it('is left to the loss where images or targets had diverged before, and where features are no numbers', () => {
  for (const moved of [
    [0, 0, 0, 1e7, 0],
    [0, 0, 0, 0, Number.NaN],
  ])
    expect(() => checkSolved(failed, moved, step)).not.toThrow()
  expect(() => checkSolved([0, 0, Number.NaN, Number.NaN, 6, Number.NaN], [0, 0, 0, 0, 0], step)).not.toThrow()
  expect(() => checkSolved([1e-6, 1e-6, 1, 10, 0, 1e-15], [0, 0, 0, 0, 0], step)).not.toThrow()
})
