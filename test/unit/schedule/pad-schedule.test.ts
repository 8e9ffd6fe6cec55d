/** @file PAD's schedule: what holds for any rule, scores and classes, and what is refused. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type PadScheduleOptions, padSchedule } from '../../../src/schedule/data-schedule.js'
import { padCifar10, padManyClasses, padStretch } from '../../../src/schedule/pad-rule.js'

const share = fc.double({ min: 0, max: 0.999, noNaN: true })
const rules = fc
  .record({
    initialRatio: fc.double({ min: 0.01, max: 1, noNaN: true }),
    epochs: fc.tuple(fc.nat(12), fc.nat(12), fc.nat(12)),
    r1: share,
    r2: share,
  })
  .map(({ epochs, ...shares }) => {
    const [addEndEpoch, removeMiddle, removeEnd] = epochs.sort((a, b) => a - b)
    return { ...shares, addEndEpoch, removeMiddle, removeEnd }
  })
const classes = 3
const samples = fc.array(fc.record({ score: fc.integer({ min: -4, max: 4 }), label: fc.nat(classes - 1) }), {
  minLength: 100,
  maxLength: 140,
})
const scope = fc.constantFrom('class', 'global')

const optionsOf = (
  drawn: readonly { readonly score: number; readonly label: number }[],
  rule: typeof padCifar10,
  chosen: PadScheduleOptions['scope'],
): PadScheduleOptions => ({
  ...rule,
  scope: chosen,
  scores: drawn.map((sample) => sample.score),
  labels: drawn.map(({ label }) => label),
  classes,
})

describe('any schedule', () => {
  it('adds easy samples first and leaves the easiest out at the end', async () => {
    await fc.assert(
      fc.asyncProperty(samples, rules, scope, async (drawn, rule, chosen) => {
        const options = optionsOf(drawn, rule, chosen)
        const schedule = await padSchedule(options).catch((error) => {
          // shares so small that nothing would be left
          expect(error.message).toContain('would train on nothing')
          return undefined
        })
        if (!schedule) return
        const groupOf = (row: number) => (chosen === 'class' ? options.labels[row] : 0)
        for (let epoch = 0; epoch < rule.removeEnd + 3; epoch++) {
          const rows = [...schedule.rows(epoch)]
          const kept = new Set(rows)
          expect(rows).toEqual([...kept].sort((a, b) => a - b))
          for (let group = 0; group < classes; group++) {
            const all = drawn.map((_, row) => row).filter((row) => groupOf(row) === group)
            const sorted = all.sort((a, b) => options.scores[a] - options.scores[b] || a - b)
            const [begin, end] = padStretch(rule, epoch, sorted.length)
            expect(sorted.map((row) => kept.has(row))).toEqual(sorted.map((_, i) => i >= begin && i < end))
          }
        }
      }),
      { numRuns: 60 },
    )
  })

  it('says what it is, and is another for another order or rule', async () => {
    const drawn = Array.from({ length: 120 }, (_, i) => ({ score: (i * 7) % 11, label: i % classes }))
    const one = await padSchedule(optionsOf(drawn, padCifar10, 'class'))
    expect(one.name).toBe('pad')
    expect(one.config).toEqual({ kind: 'pad', ...padCifar10, scope: 'class', ranking: expect.stringMatching(/^[0-9a-f]{64}$/) })
    const same = await padSchedule({ ...optionsOf(drawn, padCifar10, 'class'), scores: drawn.map(({ score }) => 2 * score + 1) })
    expect(same.config).toEqual(one.config)
    const other = await padSchedule(optionsOf(drawn, padManyClasses, 'class'))
    expect(other.config).toEqual({ ...one.config, addEndEpoch: 40 })
    drawn[5] = { ...drawn[5], score: -1 }
    expect((await padSchedule(optionsOf(drawn, padCifar10, 'class'))).config.ranking).not.toBe(one.config.ranking)
  })
})

describe('the stretch of an epoch', () => {
  it('grows, is whole, and loses its beginning', () => {
    fc.assert(
      fc.property(rules, fc.nat(5000), (rule, count) => {
        let last = 0
        for (let epoch = 0; epoch <= rule.addEndEpoch; epoch++) {
          const [begin, end] = padStretch(rule, epoch, count)
          expect(begin).toBe(0)
          expect(end).toBeGreaterThanOrEqual(last)
          last = end
        }
        expect(last).toBeGreaterThanOrEqual(count - 1) // a share of 1 that rounding left just below it
        for (let epoch = rule.addEndEpoch + 1; epoch <= rule.removeMiddle; epoch++)
          expect(padStretch(rule, epoch, count)).toEqual([0, count])
        if (rule.removeEnd > rule.removeMiddle)
          expect(padStretch(rule, rule.removeMiddle + 1, count)).toEqual([Math.trunc(rule.r1 * count), count])
        expect(padStretch(rule, rule.removeEnd + 1, count)).toEqual([Math.trunc(rule.r2 * count), count])
      }),
    )
  })

  it('truncates products of doubles from left to right', () => {
    const rule = { ...padCifar10, initialRatio: 0.7, addEndEpoch: 12 }
    expect(padStretch(rule, 4, 20)).toEqual([0, 15]) // 15.999…
    expect(padStretch({ ...padCifar10, r2: 0.57 }, 61, 100)).toEqual([56, 100]) // 56.999…
  })

  it('is published for CIFAR-10 with 147 batches of 256 in the first epoch and 196 in whole ones', () => {
    const batches = (epoch: number) => {
      const [begin, end] = padStretch(padCifar10, epoch, 5000)
      return Math.ceil((10 * (end - begin)) / 256)
    }
    expect([0, 20, 40, 41, 60, 61, 99].map(batches)).toEqual([147, 196, 196, 176, 176, 157, 157])
  })

  it('is whole from the beginning where the adding ends with epoch 0', () => {
    expect(padStretch({ ...padCifar10, addEndEpoch: 0 }, 0, 10)).toEqual([0, 10])
  })
})

describe('the easy end', () => {
  it('may be the high one, equal scores still by row', async () => {
    const options = { ...padCifar10, initialRatio: 0.5, scope: 'global', labels: [0, 0, 0, 0], classes: 1, scores: [1, 2, 2, 2] } as const
    expect([...(await padSchedule(options)).rows(0)]).toEqual([0, 1])
    expect([...(await padSchedule({ ...options, easy: 'high' })).rows(0)]).toEqual([1, 2])
  })
})

describe('refuses', () => {
  const options: PadScheduleOptions = { ...padCifar10, scope: 'class', scores: [3, 1, 2, 0], labels: [0, 0, 1, 1], classes: 2 }

  it.each([
    [{ initialRatio: 0 }, 'invalid_option', 'initialRatio'],
    [{ initialRatio: Number.NaN }, 'invalid_option', 'initialRatio'],
    [{ r2: 1 }, 'invalid_option', 'r2'],
    [{ addEndEpoch: -1 }, 'invalid_option', 'addEndEpoch'],
    [{ removeMiddle: 2.5 }, 'invalid_option', 'removeMiddle'],
    [{ addEndEpoch: 50 }, 'invalid_option', '50, 40, 60'],
    [{ scope: 'all' }, 'invalid_option', 'scope'],
    [{ easy: 'hard' }, 'invalid_option', 'easy'],
    [{ initialRate: 1 }, 'invalid_option', 'initialRate'],
    [{ labels: [0, 0, 1] }, 'invalid_data', '4, one for each sample'],
    [{ labels: [0, 0, 1, 2] }, 'invalid_index', 'sample 3'],
    [{ scores: [] }, 'invalid_data', 'scores'],
    [{ scores: [0, 1, Number.NaN, 0] }, 'not_finite', 'at 2'],
    [{ initialRatio: 0.4 }, 'invalid_data', 'epoch 0 would train on nothing of classes of 2, 2 samples'],
  ])('%j', async (change, code, text) => {
    const error = await padSchedule({ ...options, ...change } as PadScheduleOptions).then(
      () => undefined,
      (thrown) => thrown,
    )
    expect(error).toMatchObject({ code, message: expect.stringContaining(text) })
  })

  it('what is no epoch', async () => {
    const schedule = await padSchedule(options)
    for (const epoch of [-1, 0.5, Number.NaN])
      expect(() => schedule.rows(epoch)).toThrow(expect.objectContaining({ code: 'invalid_option' }))
  })
})
