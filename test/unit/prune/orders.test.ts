/** @file Orders that draw or look at features: coverage-centric, random, herding, k-center, CRAIG, GradMatch. */
import { describe, expect, it } from 'vitest'
import { type SelectOptions, selectSamples } from '../../../src/prune/index.js'
import { craig } from '../../../src/scores/craig.js'
import { gradMatch } from '../../../src/scores/grad-match.js'
import { herd } from '../../../src/scores/herding.js'
import { kCenterGreedy } from '../../../src/scores/k-center.js'
import { takeRows } from '../../../src/scores/matrix.js'
import { matrixOf, randomMatrix } from '../scores/matrices.js'

const labels = Int32Array.from({ length: 60 }, (_, i) => (i % 3 === 0 ? 0 : 1))
const data = { labels, classes: ['a', 'b'] }
const rowsOf = (c: number) => [...labels.keys()].filter((row) => labels[row] === c)

describe('ccs', () => {
  // 90 easy samples, 10 spread over the rest of the range
  const scores = Array.from({ length: 100 }, (_, i) => (i < 90 ? i / 1000 : (i - 89) / 10))
  const one = { labels: new Int32Array(100), classes: ['a'] }
  const base: SelectOptions = { order: 'ccs', scores, keepPercent: 20, ccs: { hardest: 'largest', cutoff: 0.05, bins: 10 } }

  it('cuts the hardest off and covers the rest of the range', async () => {
    const { indices, rule } = await selectSamples(one, base)
    expect(indices).toHaveLength(20)
    expect(rule).toMatchObject({ seed: 0, ccs: { hardest: 'largest', cutoff: 0.05, bins: 10 } })
    // 95 are left, up to a score of 0.6: five sparse strata come whole, easy ones fill the rest
    expect([...indices].filter((row) => row >= 90)).toEqual([90, 91, 92, 93, 94])
  })

  it('turns with the direction of the score', async () => {
    const turned = await selectSamples(one, {
      ...base,
      scores: scores.map((s) => -s),
      ccs: { hardest: 'smallest', cutoff: 0.05, bins: 10 },
    })
    expect(turned.indices).toEqual((await selectSamples(one, base)).indices)
  })

  it('draws by the seed', async () => {
    const again = await selectSamples(one, { ...base, seed: 0 })
    expect(again.indices).toEqual((await selectSamples(one, base)).indices)
    expect((await selectSamples(one, { ...base, seed: 1 })).indices).not.toEqual(again.indices)
  })

  it('takes the easiest of what was not drawn for a raised count, before what was cut off', async () => {
    const few = {
      order: 'ccs',
      scores: [0, 1, 2, 3],
      keepPercent: 25,
      minimumPerClass: 4,
      ccs: { hardest: 'largest', cutoff: 0.5, bins: 1 },
    } as const
    const all = await selectSamples({ labels: new Int32Array(4), classes: ['a'] }, few)
    expect(all.raised).toEqual([{ class: 0, from: 1, to: 4 }])
    const three = await selectSamples({ labels: new Int32Array(4), classes: ['a'] }, { ...few, minimumPerClass: 3 })
    expect([...three.indices]).toEqual([0, 1, 2])
  })

  it('takes equal scores for one stratum', async () => {
    const { indices } = await selectSamples(one, { ...base, scores: new Float64Array(100) })
    expect(indices).toHaveLength(20)
  })

  it('covers a range that overflows', async () => {
    const wide = scores.map((_, i) => (i < 50 ? -1e308 : 1e308))
    const { indices } = await selectSamples(one, { ...base, scores: wide, ccs: { hardest: 'largest', cutoff: 0, bins: 4 } })
    expect(indices.filter((row) => row < 50)).toHaveLength(10)
    expect(indices).toHaveLength(20)
  })

  it('refuses a cutoff that leaves too few', async () => {
    const failure = selectSamples(one, { ...base, keepPercent: 90, ccs: { hardest: 'largest', cutoff: 0.2 } })
    await expect(failure).rejects.toMatchObject({
      code: 'invalid_option',
      message: expect.stringContaining('leaves 80 of 100 samples but 90'),
    })
  })
})

describe('random', () => {
  it('keeps the same share of every class, by the seed alone', async () => {
    const first = await selectSamples(data, { order: 'random', drop: 0.5, seed: 4 })
    expect([...first.counts]).toEqual([10, 20])
    expect(first.rule.seed).toBe(4)
    expect(await selectSamples(data, { order: 'random', drop: 0.5, seed: 4 })).toEqual(first)
    expect((await selectSamples(data, { order: 'random', drop: 0.5, seed: 5 })).indices).not.toEqual(first.indices)
  })

  it('draws classes of their own: equal ones keep other places', async () => {
    const halves = { labels: Int32Array.from({ length: 80 }, (_, i) => (i < 40 ? 0 : 1)), classes: ['a', 'b'] }
    const { indices } = await selectSamples(halves, { order: 'random', drop: 0.5 })
    const [first, second] = [indices.subarray(0, 20), indices.subarray(20).map((row) => row - 40)]
    expect(first).not.toEqual(second)
  })

  it('ranks all samples in global scope', async () => {
    expect((await selectSamples(data, { order: 'random', keepPercent: 50, scope: 'global' })).indices).toHaveLength(30)
  })
})

describe('orders by features', () => {
  const features = randomMatrix(60, 4, 8)
  const ascending = (rows: number[]) => rows.sort((a, b) => a - b)

  it.each([
    ['herding', async (part, count) => herd(part, count)],
    ['kCenter', async (part, count) => (await kCenterGreedy(part, count)).indices],
    ['craig', async (part, count) => (await craig(part, count)).indices],
    ['gradMatch', async (part, count) => (await gradMatch(part, count)).indices],
  ] as [SelectOptions['order'], (part: ReturnType<typeof takeRows>, count: number) => Promise<Int32Array>][])(
    '%s chooses in every class',
    async (order, pick) => {
      const { indices, counts } = await selectSamples(data, { order, features, keep: 0.3 })
      // trunc(0.7 * 20) and trunc(0.7 * 40) go
      expect([...counts]).toEqual([6, 12])
      const wanted: number[] = []
      for (const c of [0, 1]) for (const i of await pick(takeRows(features, rowsOf(c)), counts[c])) wanted.push(rowsOf(c)[i])
      expect([...indices]).toEqual(ascending(wanted))
    },
  )

  it('brings weights along, in the order of the kept rows', async () => {
    const { indices, weights, counts } = await selectSamples(data, { order: 'craig', features, keepPercent: 20 })
    const of = (c: number) => [...indices.keys()].filter((i) => labels[indices[i]] === c).reduce((sum, i) => sum + (weights?.[i] ?? 0), 0)
    expect([of(0), of(1)]).toEqual([20, 40])
    const alone = await craig(takeRows(features, rowsOf(0)), counts[0])
    for (const [t, i] of alone.indices.entries()) expect(weights?.[indices.indexOf(rowsOf(0)[i])]).toBe(alone.weights[t])
    expect((await selectSamples(data, { order: 'herding', features, keepPercent: 20 })).weights).toBeNull()
  })

  it('chooses anew for a raised count: weights are those of the whole set', async () => {
    const { counts, raised, weights } = await selectSamples(data, { order: 'craig', features, keepPercent: 10, minimumPerClass: 3 })
    expect([...counts]).toEqual([3, 4])
    expect(raised).toEqual([{ class: 0, from: 2, to: 3 }])
    expect(weights?.reduce((sum, w) => sum + w, 0)).toBe(60)
  })

  it('refuses global scope, windows, other rows and what is no number', async () => {
    const refuse = (options: object, code: string) =>
      expect(selectSamples(data, { order: 'herding', features, ...options } as SelectOptions)).rejects.toMatchObject({ code })
    await refuse({ keep: 0.5, scope: 'global' }, 'invalid_option')
    await refuse({ window: [0.5, 1] }, 'invalid_option')
    await refuse({ keep: 0.5, features: undefined }, 'invalid_option')
    await refuse({ keep: 0.5, scores: [1] }, 'invalid_option')
    await refuse({ keep: 0.5, features: randomMatrix(59, 4, 8) }, 'invalid_data')
    await refuse({ keep: 0.5, features: matrixOf(Array.from({ length: 60 }, () => [Number.NaN])) }, 'not_finite')
  })
})
