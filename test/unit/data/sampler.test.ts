/** @file The class-balanced sampler: without replacement, addressed, unbiased, with true counts. */
import { describe, expect, it } from 'vitest'
import { createSampler } from '../../../src/data/sampler.js'
import { expectError, tinyDataset } from './fixtures.js'

const dataset = tinyDataset([40, 7, 12])
const sampler = (seed = 1, purpose = 3) => createSampler({ dataset, perClass: 9, seed, purpose })

describe('createSampler', () => {
  it('draws distinct rows of the right class, and all of a small class', () => {
    const { counts, weights, draw } = sampler()
    expect([...counts]).toEqual([9, 7, 9])
    for (let step = 0; step < 50; step++) {
      const rows = draw(step)
      for (let c = 0; c < 3; c++) {
        const places = [...rows.subarray(c * 9, c * 9 + counts[c])]
        expect(new Set(places).size).toBe(counts[c])
        expect(places.every((row) => dataset.labels[row] === c)).toBe(true)
        expect([...weights.subarray(c * 9, (c + 1) * 9)]).toEqual(Array.from({ length: 9 }, (_, i) => (i < counts[c] ? 1 : 0)))
      }
      expect([...rows.subarray(16, 18)]).toEqual([rows[9], rows[9]])
    }
  })

  it('is addressed: any step alone gives the rows of the run, other seeds, purposes and steps give others', () => {
    const ahead = sampler()
    for (let step = 0; step < 20; step++) ahead.draw(step)
    expect(sampler().draw(20)).toEqual(ahead.draw(20))
    expect(ahead.draw(3)).toEqual(sampler().draw(3))
    const draws = [sampler().draw(20), sampler().draw(21), sampler(2).draw(20), sampler(1, 4).draw(20), sampler(2 ** 32 + 1).draw(20)]
    expect(new Set(draws.map((rows) => rows.subarray(0, 9).join())).size).toBe(draws.length)
  })

  it('picks every row and every place about equally often', () => {
    const steps = 4000
    const hits = new Map<number, number>()
    const first = new Map<number, number>()
    const { draw } = sampler()
    for (let step = 0; step < steps; step++) {
      const rows = draw(step).subarray(0, 9)
      for (const row of rows) hits.set(row, (hits.get(row) ?? 0) + 1)
      first.set(rows[0], (first.get(rows[0]) ?? 0) + 1)
    }
    // five standard deviations of a binomial count
    const within = (count: number, p: number) => Math.abs(count - steps * p) < 5 * Math.sqrt(steps * p * (1 - p))
    expect(hits.size).toBe(40)
    expect([...hits.values()].every((count) => within(count, 9 / 40))).toBe(true)
    expect([...first.values()].every((count) => within(count, 1 / 40))).toBe(true)
  })

  it('refuses bad options and empty classes', async () => {
    await expectError(() => createSampler({ dataset, perClass: 0, seed: 1, purpose: 0 }), 'invalid_option', /perClass/)
    await expectError(() => createSampler({ dataset, perClass: 2.5, seed: 1, purpose: 0 }), 'invalid_option', /perClass/)
    await expectError(() => createSampler({ dataset, perClass: 1, seed: -1, purpose: 0 }), 'invalid_option', /seed/)
    await expectError(() => sampler().draw(-1), 'invalid_option', /step/)
    const hollow = { classes: ['a', 'b'], classIndices: (c: number) => new Int32Array(c === 0 ? 3 : 0) }
    await expectError(() => createSampler({ dataset: hollow, perClass: 1, seed: 1, purpose: 0 }), 'invalid_data', /class 'b'/)
  })
})
