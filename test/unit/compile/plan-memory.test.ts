import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Lifetime, planMemory } from '../../../src/engine/compile/plan-memory.js'

const lifetimes = (most: number): fc.Arbitrary<Lifetime[]> =>
  fc.array(
    fc.tuple(fc.nat(5000), fc.nat(40), fc.nat(12)).map(([bytes, first, length]) => ({ bytes, first, last: first + length })),
    { maxLength: most },
  )

function peakOf(list: readonly Lifetime[]): number {
  let peak = 0
  for (let t = 0; t <= 60; t++)
    peak = Math.max(
      peak,
      list.reduce((n, l) => (l.first <= t && t <= l.last ? n + Math.ceil(l.bytes / 64) * 64 : n), 0),
    )
  return peak
}

describe('planMemory', () => {
  it('never lets two buffers alive at one time share a byte, on aligned offsets inside the peak', () => {
    fc.assert(
      fc.property(lifetimes(40), (list) => {
        const { offsets, peakBytes } = planMemory(list)
        for (const [i, a] of list.entries()) {
          expect(offsets[i] % 64).toBe(0)
          expect(offsets[i] + a.bytes).toBeLessThanOrEqual(peakBytes)
          for (const [j, b] of list.entries()) {
            if (j <= i || a.last < b.first || b.last < a.first) continue
            expect(offsets[i] + a.bytes <= offsets[j] || offsets[j] + b.bytes <= offsets[i]).toBe(true)
          }
        }
      }),
    )
  })

  it('takes at least what is alive at once, and not much more', () => {
    fc.assert(
      fc.property(lifetimes(40), (list) => {
        const least = peakOf(list)
        expect(planMemory(list).peakBytes).toBeGreaterThanOrEqual(least)
        expect(planMemory(list).peakBytes).toBeLessThanOrEqual(2 * least)
      }),
    )
  })

  it('reuses the bytes of a dead buffer', () => {
    const chain = Array.from({ length: 10 }, (_, i) => ({ bytes: 1000, first: i, last: i + 1 }))
    expect(planMemory(chain).peakBytes).toBe(2048)
  })

  it('gives the same plan each time, in a moment for ten thousand buffers', () => {
    const many = Array.from({ length: 10_000 }, (_, i) => ({ bytes: 64 + ((i * 7919) % 4096), first: i, last: i + ((i * 31) % 50) }))
    const start = process.cpuUsage()
    expect(planMemory(many)).toEqual(planMemory(many))
    expect(process.cpuUsage(start).user / 1e6).toBeLessThan(2)
  })

  it('needs nothing for an empty list', () => expect(planMemory([])).toEqual({ offsets: [], peakBytes: 0 }))
})
