/** @file The closed-form probe: both routes, and what it says of classes that can and cannot be told apart. */
import { describe, expect, it } from 'vitest'
import { normal } from '../../../src/engine/tensor/philox.js'
import { linearProbe } from '../../../src/teachers/linear-probe.js'

/** Rows of `dim` numbers, class c moved by `apart` along dimension c. */
function rows(count: number, dim: number, apart: number, seed: number) {
  const noise = normal([seed, 1], 0, 0, count * dim)
  const labels = Int32Array.from({ length: count }, (_, i) => i % 3)
  const features = Float32Array.from({ length: count * dim }, (_, i) => noise[i] + (i % dim === labels[Math.floor(i / dim)] ? apart : 0))
  return { features, labels }
}

describe('the linear probe', () => {
  it.each([
    ['more rows than dimensions', 150, 8],
    ['more dimensions than rows', 60, 100],
  ])('tells classes apart that lie apart, with %s', async (_, count, dim) => {
    const apart = await linearProbe(rows(count, dim, 12, 1), rows(90, dim, 12, 2), dim, 3)
    expect(apart.accuracy).toBeGreaterThan(90)
    expect(apart.chance).toBeCloseTo(100 / 3, 6)
    const alike = await linearProbe(rows(count, dim, 0, 1), rows(90, dim, 0, 2), dim, 3)
    expect(alike.accuracy).toBeLessThan(60)
  })

  it('bears dimensions that are constant', async () => {
    const [train, held] = [1, 2].map((seed) => {
      const { features, labels } = rows(60, 4, 12, seed)
      return { labels, features: features.map((v, i) => (i % 4 === 3 ? 7 : v)) }
    })
    expect((await linearProbe(train, held, 4, 3)).accuracy).toBeGreaterThan(95)
  })

  it('guesses the most frequent class where nothing tells them apart', async () => {
    const unbalanced = (seed: number) => {
      const { features } = rows(200, 4, 0, seed)
      return { features, labels: Int32Array.from({ length: 200 }, (_, i) => (i % 10 < 8 ? 2 : i % 2)) }
    }
    const { accuracy, chance } = await linearProbe(unbalanced(1), unbalanced(2), 4, 3)
    expect(chance).toBe(80)
    expect(accuracy).toBeGreaterThan(75)
  })
})
