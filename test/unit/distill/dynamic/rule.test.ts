/** @file The rule of dynamic pruning against its golden trace, and at its borders. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { normalQuantile } from '../../../../src/distill/dynamic/normal-quantile.js'
import { type BatchDraw, DynamicRule, type DynamicRuleOptions } from '../../../../src/distill/dynamic/rule.js'

interface TraceStep {
  readonly refresh: boolean
  readonly used: Readonly<Record<string, readonly number[]>>
  readonly fallback: Readonly<Record<string, boolean>>
  readonly stats?: Readonly<Record<string, { readonly mean: number; readonly std: number; readonly lo: number; readonly hi: number }>>
  readonly blocked: readonly number[]
}
const trace = JSON.parse(readFileSync(new URL('../../../golden/data/selection/ite_trace.json', import.meta.url), 'utf8'))

const drawAt = (t: number): BatchDraw => {
  const lists: number[][] = Object.values(trace.batches[t])
  const perClass = Math.max(...lists.map((list) => list.length))
  const rows = new Int32Array(lists.length * perClass)
  for (const [c, list] of lists.entries()) rows.set(list, c * perClass)
  return { rows, perClass, counts: Int32Array.from(lists, (list) => list.length) }
}
const effectsAt = (t: number, { rows }: BatchDraw) => Float64Array.from(rows, (row) => trace.ite_norm[t][row])
const usedRows = (rule: DynamicRule, draw: BatchDraw) => rule.select(draw).used.map((places) => places.map((place) => draw.rows[place]))

const general: DynamicRuleOptions = {
  ...{ betaLow: trace.beta_lo, betaHigh: trace.beta_hi, every: trace.lazy_every, momentum: trace.ema_momentum },
  ...{ mode: 'moments', statistics: 'ema', scope: 'global' },
}
const ruleOf = (options: Partial<DynamicRuleOptions> = {}) => new DynamicRule({ ...general, ...options }, trace.labels.length, 3)

describe('the golden trace', () => {
  it.each(Object.keys(trace.variants))('%s: moments, thresholds, samples used and masked', (name) => {
    const [statistics, scope] = name.split('_') as ['ema', 'global' | 'class']
    const rule = ruleOf({ statistics, scope })
    for (const [t, step] of (trace.variants[name] as TraceStep[]).entries()) {
      const draw = drawAt(t)
      expect(rule.looks(t)).toBe(step.refresh)
      if (step.refresh) rule.look(draw, effectsAt(t, draw))
      expect(usedRows(rule, draw)).toEqual(Object.values(step.used))
      expect(rule.select(draw).fallbacks).toEqual(Object.values(step.fallback).flatMap((is, c) => (is ? [c] : [])))
      expect([...rule.masked.keys()].filter((i) => rule.masked[i] === 1)).toEqual(step.blocked)
      for (const [i, { mean, std, lo, hi }] of Object.values(step.stats ?? {}).entries()) {
        const own = rule.statistics(i)
        for (const [a, b] of [
          [own.mean, mean],
          [Math.sqrt(own.variance), std],
          [own.low, lo],
          [own.high, hi],
        ])
          expect(a).toBeCloseTo(b, 9)
      }
    }
  })

  it('by rank', () => {
    for (const [t, used] of (trace.batch_rank as Record<string, number[]>[]).entries()) {
      const draw = drawAt(t)
      const rule = ruleOf({ mode: 'rank' })
      rule.look(draw, effectsAt(t, draw))
      expect(usedRows(rule, draw)).toEqual(Object.values(used))
    }
  })

  it('quantiles of the normal distribution', () => {
    for (const [p, z] of Object.entries(trace.inverse_normal))
      expect(Math.abs(normalQuantile(Number(p)) - (z as number))).toBeLessThan(4e-15 * 4)
    expect([normalQuantile(0), normalQuantile(1)]).toEqual([Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY])
    expect(normalQuantile(1e-300)).toBeCloseTo(-37.0471, 4)
    for (const wrong of [-0.1, 1.1, Number.NaN]) expect(() => normalQuantile(wrong)).toThrow(/a probability/)
  })
})

describe('the rule', () => {
  const draw: BatchDraw = { rows: Int32Array.of(4, 2, 7, 4, 0, 1, 3, 0), perClass: 4, counts: Int32Array.of(3, 4) }
  const effects = Float64Array.of(1, 2, 9, Number.NaN, 3, 4, 5, 6)

  it('drops nothing with empty tails, whatever the spread', () => {
    const rule = new DynamicRule({ ...general, betaLow: 0, betaHigh: 0 }, 8, 2)
    rule.look(draw, effects)
    expect(rule.select(draw)).toEqual({
      used: [
        [0, 1, 2],
        [4, 5, 6, 7],
      ],
      fallbacks: [],
    })
  })

  it('uses all of a class whose samples are all masked, and says so', () => {
    const rule = new DynamicRule(general, 8, 2)
    rule.masked.fill(1)
    expect(rule.select(draw)).toEqual({
      used: [
        [0, 1, 2],
        [4, 5, 6, 7],
      ],
      fallbacks: [0, 1],
    })
  })

  it('keeps one distribution per class when asked', () => {
    const rule = new DynamicRule({ ...general, scope: 'class' }, 8, 2)
    rule.look(draw, effects)
    expect([rule.statistics(0).mean, rule.statistics(1).mean]).toEqual([4, 4.5])
    expect([rule.statistics(0).count, rule.statistics(1).count]).toEqual([3, 4])
  })

  it('refuses an effect that is no number, by its sample; padding may hold anything', () => {
    const rule = new DynamicRule(general, 8, 2)
    expect(() => rule.look(draw, Float64Array.of(1, 2, 9, 0, 3, Number.NaN, 5, 6))).toThrow(/treatment effect of sample 1/)
    expect(() => rule.look(draw, effects)).not.toThrow()
  })
})
