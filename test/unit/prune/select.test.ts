/** @file Selection by scores: ties, rounding, minima, global scope, windows, bad input. Kept sets of many rules: golden case prune_static. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type SelectOptions, selectSamples } from '../../../src/prune/index.js'
import golden from '../../golden/data/selection/prune_static.json' with { type: 'json' }

const dataOf = (labels: readonly number[]) => ({
  labels: Int32Array.from(labels),
  classes: Array.from({ length: Math.max(...labels) + 1 }, (_, c) => `class ${c}`),
})
const one = (n: number) => dataOf(new Array<number>(n).fill(0))
const kept = async (labels: readonly number[], options: SelectOptions) => [...(await selectSamples(dataOf(labels), options)).indices]

describe('rules', () => {
  it('are those of the golden case, the smallest class raised to its minimum', async () => {
    const { indices, counts, raised } = await selectSamples(dataOf(golden.labels), {
      order: 'asc',
      scores: golden.scores_gamma,
      keepPercent: 30,
    })
    const smallest = golden.labels.flatMap((label, row) => (label === 3 ? [row] : []))
    const easiest = smallest.reduce((best, row) => (golden.scores_gamma[row] < golden.scores_gamma[best] ? row : best))
    expect([...indices]).toEqual([...golden.scores_gamma_kept.percent_asc[30], easiest].sort((a, b) => a - b))
    expect([...counts]).toEqual([3, 7, 2, 1])
    expect(raised).toEqual([{ class: 3, from: 0, to: 1 }])
  })

  it('drop the lower of equal samples by fraction, keep it by percentage of the ascending order', async () => {
    const scores = [1, 1, 1, 1]
    expect(await kept([0, 0, 0, 0], { order: 'asc', scores, drop: 0.5 })).toEqual([2, 3])
    expect(await kept([0, 0, 0, 0], { order: 'desc', scores, drop: 0.5 })).toEqual([2, 3])
    expect(await kept([0, 0, 0, 0], { order: 'asc', scores, keepPercent: 50 })).toEqual([0, 1])
    expect(await kept([0, 0, 0, 0], { order: 'desc', scores, keepPercent: 50 })).toEqual([2, 3])
  })

  it.each([
    [{ keep: 0.9 }, 10, 10], // 1 - 0.9 is a little less than 0.1
    [{ drop: 0.1 }, 10, 9],
    [{ drop: 0.29 }, 100, 72],
    [{ drop: 0.58 }, 100, 43],
    [{ keepPercent: 29 }, 100, 29],
    [{ keepPercent: 10 }, 25, 2],
  ])('%j of %i keep %i', async (amount, n, count) => {
    const scores = Float64Array.from({ length: n }, (_, i) => i)
    expect((await selectSamples(one(n), { order: 'asc', scores, ...amount })).indices).toHaveLength(count)
  })

  it('cut both ends by windows', async () => {
    const scores = [5, 4, 3, 2, 1, 0, 6, 7, 8, 9]
    // of what should go first: with 'desc' the small ones
    expect(await kept(new Array(10).fill(0), { order: 'desc', scores, window: [0.5, 0.9] })).toEqual([0, 6, 7, 8])
    expect(await kept(new Array(10).fill(0), { order: 'asc', scores, window: [0.5, 0.9] })).toEqual([1, 2, 3, 4])
  })

  it('keep what a plain statement of the rule keeps', async () => {
    const row = fc.record({ label: fc.nat({ max: 2 }), score: fc.integer({ min: -3, max: 3 }) })
    const rows = fc.array(row, { minLength: 12, maxLength: 40 }).map((list) => [0, 1, 2].map((label) => ({ label, score: 0 })).concat(list))
    const check = async (list: { label: number; score: number }[], drop: number, order: 'asc' | 'desc') => {
      const wanted = [0, 1, 2].flatMap((c) => {
        const members = [...list.keys()].filter((i) => list[i].label === c)
        const key = (i: number) => (order === 'asc' ? -list[i].score : list[i].score)
        return members.sort((a, b) => key(a) - key(b) || a - b).slice(Math.trunc(drop * members.length))
      })
      const selected = await kept(
        list.map(({ label }) => label),
        { order, scores: list.map(({ score }) => score), drop },
      )
      expect(selected).toEqual(wanted.sort((a, b) => a - b))
    }
    await fc.assert(fc.asyncProperty(rows, fc.double({ min: 0.01, max: 0.99, noNaN: true }), fc.constantFrom('asc', 'desc'), check), {
      numRuns: 100,
      seed: 7,
    })
  })

  it('keep the middle of every class by order moderate', async () => {
    const labels = [0, 0, 0, 0, 0, 1, 1, 1]
    const scores = [1, 2, 3, 50, 60, 10, 30, 21]
    expect(await kept(labels, { order: 'moderate', scores, keepPercent: 67 })).toEqual([0, 1, 2, 6, 7])
  })
})

describe('global scope', () => {
  const labels = [0, 0, 0, 0, 1, 1]
  const scores = [0, 1, 2, 3, 10, 9]

  it('ranks all samples, and raises classes with their best', async () => {
    const { indices, counts, raised } = await selectSamples(dataOf(labels), { order: 'asc', scores, keepPercent: 50, scope: 'global' })
    expect([...indices]).toEqual([0, 1, 2, 5])
    expect([...counts]).toEqual([3, 1])
    expect(raised).toEqual([{ class: 1, from: 0, to: 1 }])
    expect(await kept(labels, { order: 'asc', scores, drop: 0.5, scope: 'global', minimumPerClass: 2 })).toEqual([0, 1, 2, 4, 5])
    expect(await kept(labels, { order: 'desc', scores, keepPercent: 34, scope: 'global' })).toEqual([3, 4, 5])
  })

  it('names classes that lose more than 95 in 100', async () => {
    const many = new Array<number>(41).fill(0).concat([1, 1])
    const { thinned } = await selectSamples(dataOf(many), {
      order: 'asc',
      scores: many.map((label, i) => (label === 1 ? -1 : i)),
      keepPercent: 5,
      scope: 'global',
    })
    expect(thinned).toEqual([0])
  })
})

describe('minimum per class', () => {
  it('takes the next best: right of the ascending order, left of the others', async () => {
    const scores = [3, 1, 2, 0]
    const base = { scores, minimumPerClass: 3 }
    expect(await kept([0, 0, 0, 0], { ...base, order: 'asc', keepPercent: 25 })).toEqual([1, 2, 3])
    expect(await kept([0, 0, 0, 0], { ...base, order: 'asc', drop: 0.75 })).toEqual([1, 2, 3])
    expect(await kept([0, 0, 0, 0], { ...base, order: 'desc', drop: 0.75 })).toEqual([0, 1, 2])
    expect(await kept([0, 0, 0, 0], { ...base, order: 'asc', window: [0.75, 1] })).toEqual([1, 2, 3])
    // nothing is left on the left side: the window opens to the right
    expect(await kept([0, 0, 0, 0], { ...base, order: 'asc', window: [0, 0.25] })).toEqual([0, 1, 2])
  })

  it('is no more than a class has', async () => {
    const options = { order: 'asc', scores: [1, 2, 3], keepPercent: 50, minimumPerClass: 2 } as const
    await expect(selectSamples(dataOf([0, 0, 1]), options)).rejects.toMatchObject({
      code: 'invalid_option',
      message: expect.stringContaining('class 1'),
    })
  })

  it('of 0 refuses to empty a class', async () => {
    const options = { order: 'asc', scores: [1, 2, 3], keepPercent: 50, minimumPerClass: 0 } as const
    const failure = selectSamples(dataOf([0, 0, 1]), options)
    await expect(failure).rejects.toMatchObject({
      code: 'invalid_option',
      message: expect.stringContaining("class 'class 1' would keep none of its 1"),
    })
  })
})

describe('bad input', () => {
  const data = dataOf([0, 0, 1, 1])
  const scores = [1, 2, 3, 4]
  const refuse = (options: object, error: object) =>
    expect(selectSamples(data, { order: 'asc', scores, ...options } as SelectOptions)).rejects.toMatchObject(error)

  it.each([
    [{ keep: 0.5, drop: 0.5 }, 'received .keep and drop.'],
    [{}, 'received .none of them.'],
    [{ keep: 0 }, 'keep: expected a fraction in .0, 1. but received 0'],
    [{ keep: 1 }, 'leave pruning out'],
    [{ drop: 0 }, 'leave pruning out'],
    [{ drop: 1 }, 'drop: expected a fraction'],
    [{ keep: 20 }, 'percentages are keepPercent'],
    [{ keep: Number.NaN }, 'keep: expected a fraction'],
    [{ keep: '0.5' }, 'keep: expected a fraction'],
    [{ keepPercent: 0.2 }, 'give a fraction as keep'],
    [{ keepPercent: 100 }, 'leave pruning out'],
    [{ keepPercent: 0 }, 'keepPercent: expected'],
    [{ window: [0.5, 0.5] }, 'window: expected'],
    [{ window: [0, 1] }, 'window: expected one that leaves something out'],
    [{ window: [0, 1.5] }, 'window: expected'],
    [{ window: 0.5 }, 'window: expected'],
    [{ keep: 0.5, order: 'ascending' }, 'order: expected asc'],
    [{ keep: 0.5, scope: 'perClass' }, 'scope: expected'],
    [{ keep: 0.5, minimumPerClass: -1 }, 'minimumPerClass: expected'],
    [{ keep: 0.5, seed: -1 }, 'seed: expected'],
    [{ keep: 0.5, Scope: 'class' }, "did you mean 'scope'"],
    [{ keep: 0.5, scores: undefined }, "scores with order 'asc'"],
    [{ keep: 0.5, order: 'random' }, "no scores with order 'random'"],
    [{ keep: 0.5, ccs: { hardest: 'largest' } }, 'only there'],
    [{ keep: 0.5, order: 'ccs' }, "settings with order 'ccs'"],
    [{ keep: 0.5, order: 'ccs', ccs: { hardest: 'high' } }, 'ccs.hardest'],
    [{ keep: 0.5, order: 'ccs', ccs: { hardest: 'largest', cutoff: 1 } }, 'ccs.cutoff'],
    [{ keep: 0.5, order: 'ccs', ccs: { hardest: 'largest', bins: 0 } }, 'ccs.bins'],
    [{ keep: 0.5, order: 'ccs', ccs: { hardest: 'largest', bins: 1e9 } }, 'ccs.bins: expected at most'],
    [{ window: [0.5, 1], order: 'ccs', ccs: { hardest: 'largest' } }, 'window: expected keep'],
  ])('%j', (options, message) => refuse(options, { code: 'invalid_option', message: expect.stringMatching(message) }))

  it('scores of another length, or that are no numbers', async () => {
    await refuse({ keep: 0.5, scores: [1, 2, 3] }, { code: 'invalid_data', message: expect.stringContaining('another data set') })
    await refuse(
      { keep: 0.5, scores: [1, Number.NaN, 2, Number.POSITIVE_INFINITY] },
      { code: 'not_finite', message: expect.stringContaining('2 of 4 are not, at 1, 3') },
    )
  })

  it('labels that are no class, classes without samples, and what is no data set', async () => {
    const options = { order: 'random', keep: 0.5 } as const
    const bad = (given: object) => selectSamples(given as typeof data, options)
    await expect(bad({ ...data, labels: Int32Array.of(0, 2) })).rejects.toMatchObject({ code: 'invalid_index' })
    await expect(bad({ ...data, labels: Int32Array.of(0, 0) })).rejects.toMatchObject({
      code: 'invalid_data',
      message: expect.stringContaining('class 1'),
    })
    await expect(bad({ labels: data.labels })).rejects.toMatchObject({ code: 'invalid_option' })
    await expect(bad({ classes: data.classes })).rejects.toMatchObject({ code: 'invalid_option' })
  })
})
