/** @file The search for the largest value that fits. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { largest } from '../../../src/plan/largest.js'

describe('largest', () => {
  it('comes within a twentieth of the true limit and never above it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 0, max: 100_000 }),
        fc.integer({ min: 1, max: 100_000 }),
        async (known, above, most) => {
          const limit = known + above
          const found = await largest(known, most, (value) => value <= limit)
          const best = Math.max(known, Math.min(limit, most))
          expect(found).toBeLessThanOrEqual(best)
          expect(found).toBeGreaterThanOrEqual(Math.min(best, Math.floor((best * 20) / 21) - 1))
        },
      ),
    )
  })

  it('finds larger sizes that fit where some smaller ones do not', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 330, max: 4000 }), fc.double({ min: 1.1, max: 1.9, noNaN: true }), async (limit, factor) => {
        // sizes of equal slices take less
        const fits = (value: number) => value <= (value % 16 === 0 ? factor * limit : limit)
        const found = await largest(1, 10_000, fits)
        expect(fits(found)).toBe(true)
        expect(found).toBeGreaterThanOrEqual(0.95 * factor * limit - 16)
      }),
    )
  })

  it('asks few questions', async () => {
    let asked = 0
    await largest(64, 10_000, (value) => ++asked > 0 && value < 777)
    expect(asked).toBeLessThan(40)
  })

  it('asks for the end first: where everything fits one question is enough', async () => {
    const asked: number[] = []
    expect(await largest(1, 5000, (value) => asked.push(value) > 0)).toBe(5000)
    expect(asked).toEqual([5000])
  })
})
