/** @file Means over runs and epochs. Values: golden case empirical_loss. */
import { expect, it } from 'vitest'
import { lossConverge, lossInit, ScoreMean, windowMean } from '../../../src/scores/epoch-window.js'

const runs = [
  [[1, 2], [3, 4], [5, 6]],
  [[7, 8], [9, 10], [11, 12]],
] // biome-ignore format: a table

it('takes the first or the last epochs of all runs', () => {
  expect(windowMean(runs, lossInit(2))).toEqual(Float64Array.of(5, 6))
  expect(windowMean(runs, lossConverge(3, 1))).toEqual(Float64Array.of(8, 9))
  expect(windowMean(runs)).toEqual(Float64Array.of(6, 7))
})

it('refuses windows beyond the epochs', () => {
  expect(() => windowMean(runs, lossInit(4))).toThrow(expect.objectContaining({ code: 'invalid_option' }))
  expect(() => lossConverge(3, 4)).toThrow(expect.objectContaining({ code: 'invalid_option' }))
  expect(() => lossInit(0)).toThrow(expect.objectContaining({ code: 'invalid_option' }))
  for (const window of [
    { from: 1, to: 1 },
    { from: -1, to: 1 },
    { from: 0.5, to: 1 },
  ])
    expect(() => windowMean(runs, window), JSON.stringify(window)).toThrow(expect.objectContaining({ code: 'invalid_option' }))
  for (const none of [[], [[]]]) expect(() => windowMean(none)).toThrow(expect.objectContaining({ code: 'invalid_option' }))
})

it('adds one array at a time, of the same samples and finite', () => {
  const mean = new ScoreMean(2)
  expect(() => mean.mean()).toThrow(expect.objectContaining({ code: 'invalid_option' }))
  mean.add([1, 2])
  expect(() => mean.add([1])).toThrow(expect.objectContaining({ code: 'invalid_data' }))
  expect(() => mean.add([1, Number.NaN])).toThrow(expect.objectContaining({ code: 'not_finite' }))
  mean.add(Float32Array.of(3, 4))
  expect(mean.mean()).toEqual(Float64Array.of(2, 3))
})
