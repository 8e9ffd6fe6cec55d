/** @file The bound of the epochs that matching starts from. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type StartEpochs, startEpochBound } from '../../../src/schedule/start-epoch.js'

const cifar10: StartEpochs = { min: 0, start: 10, max: 20, expansionEnd: 1000, sequential: true }

describe('startEpochBound', () => {
  it('grows by one every `expansionEnd / (max - start)` iterations', () => {
    expect([0, 99, 100, 199, 200, 999, 1000, 9999].map((iteration) => startEpochBound(cifar10, iteration))).toEqual([
      10, 10, 11, 11, 12, 19, 20, 20,
    ])
  })

  it('never shrinks and stays between its ends', () => {
    const ranges = fc
      .tuple(fc.nat(50), fc.integer({ min: 1, max: 50 }), fc.nat(50), fc.integer({ min: 1, max: 5000 }))
      .map(([min, first, growth, expansionEnd]) => ({
        min,
        start: min + first,
        max: min + first + growth,
        expansionEnd,
        sequential: true,
      }))
    fc.assert(
      fc.property(ranges, fc.nat(10_000), (range, iteration) => {
        const bound = startEpochBound(range, iteration)
        expect(bound).toBeGreaterThanOrEqual(range.start)
        expect(bound).toBeLessThanOrEqual(range.max)
        expect(startEpochBound(range, iteration + 1)).toBeGreaterThanOrEqual(bound)
        if (iteration >= range.expansionEnd) expect(bound).toBe(range.max)
      }),
    )
  })

  it('is the last one from the beginning where the range does not grow, whatever its start', () => {
    expect(startEpochBound({ ...cifar10, start: 99, expansionEnd: 0, sequential: false }, 0)).toBe(20)
  })

  it.each([
    [{ min: 10 }, '10, 10, 20'],
    [{ start: 21 }, '0, 21, 20'],
    [{ max: 0 }, 'max'],
    [{ min: -1 }, 'min'],
    [{ expansionEnd: 0 }, 'expansionEnd'],
    [{ sequential: 1 }, 'sequential'],
    [{ sequential: false, min: 20 }, '20, 20'],
    [{ begin: 3 }, 'begin'],
  ])('refuses %j', (change, text) => {
    const given = { ...cifar10, ...change } as StartEpochs
    expect(() => startEpochBound(given, 0)).toThrow(
      expect.objectContaining({ code: 'invalid_option', message: expect.stringContaining(text) }),
    )
  })

  it('refuses what is no iteration', () => {
    expect(() => startEpochBound(cifar10, -1)).toThrow(expect.objectContaining({ code: 'invalid_option' }))
  })
})
