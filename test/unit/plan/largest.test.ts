/** @file The search for the largest value that fits. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { largest } from '../../../src/plan/largest.js'

describe('largest', () => {
  it('comes within a twentieth of the true limit and never above it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 0, max: 100_000 }),
        fc.integer({ min: 1, max: 100_000 }),
        (known, above, most) => {
          const limit = known + above
          const found = largest(known, most, (value) => value <= limit)
          const best = Math.max(known, Math.min(limit, most))
          expect(found).toBeLessThanOrEqual(best)
          expect(found).toBeGreaterThanOrEqual(Math.min(best, Math.floor((best * 20) / 21) - 1))
        },
      ),
    )
  })

  it('asks for the end first: where everything fits one question is enough', () => {
    const asked: number[] = []
    expect(largest(1, 5000, (value) => asked.push(value) > 0)).toBe(5000)
    expect(asked).toEqual([5000])
  })
})
