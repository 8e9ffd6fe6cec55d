/** @file Forgetting events beyond the golden case: presentations that differ from sample to sample, and bad input. */
import { expect, it } from 'vitest'
import { ForgettingRun, forgettingScore } from '../../../src/scores/forgetting.js'

it('counts presentations of each sample by itself', () => {
  const run = new ForgettingRun(3)
  for (const right of [true, false, true, false, true]) run.present(0, right)
  for (const right of [false, false]) run.present(1, right)
  run.present(2, true)
  expect(run.events).toEqual(Int32Array.of(2, 0, 0))
  expect(run.presentations).toEqual(Int32Array.of(5, 2, 1))
  expect(run.firstLearned).toEqual([0, null, 0])
  expect(run.presentationsNeeded).toEqual(Int32Array.of(4, 2, 0))
  expect(run.counts()).toEqual(Float64Array.of(2, 2, 0))
  expect(run.counts('infinity')).toEqual(Float64Array.of(2, Number.POSITIVE_INFINITY, 0))
  expect(run.counts('events')).toEqual(Float64Array.of(2, 0, 0))
})

it('sums runs', () => {
  const runs = [1, 2].map(() => new ForgettingRun(2))
  for (const right of [
    [1, 0],
    [0, 0],
    [1, 0],
  ])
    for (const run of runs) run.presentAll(right)
  expect(forgettingScore(runs)).toEqual(Float64Array.of(2, 6))
})

it('refuses samples that are not there or were never presented, and other marks than right and wrong', () => {
  const run = new ForgettingRun(2)
  expect(() => run.present(2, true)).toThrow(expect.objectContaining({ code: 'invalid_index' }))
  expect(() => run.presentAll([1])).toThrow(expect.objectContaining({ code: 'invalid_data' }))
  expect(() => run.presentAll([1, 2])).toThrow(expect.objectContaining({ code: 'invalid_data' }))
  expect(() => forgettingScore([new ForgettingRun(2)])).toThrow(expect.objectContaining({ code: 'invalid_data' }))
  expect(() => forgettingScore([])).toThrow(expect.objectContaining({ code: 'invalid_option' }))
  expect(() => run.counts('never' as 'events')).toThrow(expect.objectContaining({ code: 'invalid_option' }))
  const other = new ForgettingRun(1)
  other.present(0, true)
  const seen = new ForgettingRun(2)
  seen.presentAll([true, false])
  expect(() => forgettingScore([seen, other])).toThrow(expect.objectContaining({ code: 'invalid_data' }))
})
