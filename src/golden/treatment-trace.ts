/** @file Replays the trace of dynamic pruning: moments, thresholds, samples used and masked over a made-up run. */
import { type BatchDraw, DynamicRule, type DynamicRuleOptions } from '../distill/dynamic/rule.js'
import { AludelError } from '../errors.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList } from './compare.js'
import type { GoldenEngine } from './engines.js'
import { fieldAt, listAt, numberAt } from './fields.js'

export const isTreatmentTrace = (golden: GoldenCase): boolean =>
  Array.isArray(fieldAt(golden, 'ite_norm')) && fieldAt(golden, 'variants') !== undefined

type ByClass<T> = Readonly<Record<string, T>>

interface TraceStep {
  readonly used: ByClass<readonly number[]>
  readonly fallback: ByClass<boolean>
  readonly stats?: ByClass<{ readonly mean: number; readonly std: number; readonly lo: number; readonly hi: number }>
  readonly blocked: readonly number[]
}

export async function replayTreatmentTrace(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const draws = (listAt(golden, 'batches') as ByClass<readonly number[]>[]).map(drawOf)
  const norms = listAt(golden, 'ite_norm') as readonly (readonly number[])[]
  const effectsAt = (t: number) => Float64Array.from(draws[t].rows, (row) => norms[t][row])
  const general = {
    betaLow: numberAt(golden, 'beta_lo'),
    betaHigh: numberAt(golden, 'beta_hi'),
    every: numberAt(golden, 'lazy_every'),
    momentum: numberAt(golden, 'ema_momentum'),
  }
  const samples = listAt(golden, 'labels').length
  const classes = draws[0].counts.length
  const ruleOf = (options: Pick<DynamicRuleOptions, 'mode' | 'statistics' | 'scope'>) =>
    new DynamicRule({ ...general, ...options }, samples, classes)
  const checks = new CheckList(engine.name)
  const compare = (tensor: string, actual: readonly number[], expected: readonly number[]) =>
    checks.add(tensor, 'loss', vector(actual), vector(expected))

  for (const [name, steps] of Object.entries(fieldAt(golden, 'variants') as Record<string, readonly TraceStep[]>)) {
    const [statistics, scope] = name.split('_')
    if ((statistics !== 'ema' && statistics !== 'cumulative') || (scope !== 'global' && scope !== 'class'))
      throw new AludelError('invalid_data', `${golden.name}: variants.${name}: expected ema or cumulative, then global or class`)
    const rule = ruleOf({ mode: 'moments', statistics, scope })
    for (const [t, step] of steps.entries()) {
      if (rule.looks(t)) rule.look(draws[t], effectsAt(t))
      const { used, fallbacks } = rule.select(draws[t])
      const at = `${name}.${t}`
      compare(
        `${at}.used`,
        used.flatMap((places) => places.map((place) => draws[t].rows[place])),
        Object.values(step.used).flat(),
      )
      compare(
        `${at}.fallback`,
        fallbacks,
        Object.values(step.fallback).flatMap((is, c) => (is ? [c] : [])),
      )
      compare(
        `${at}.blocked`,
        [...rule.masked.keys()].filter((i) => rule.masked[i] === 1),
        step.blocked,
      )
      for (const [i, { mean, std, lo, hi }] of Object.values(step.stats ?? {}).entries()) {
        const own = rule.statistics(i)
        compare(`${at}.stats.${i}`, [own.mean, Math.sqrt(own.variance), own.low, own.high], [mean, std, lo, hi])
      }
    }
  }
  for (const [t, used] of (listAt(golden, 'batch_rank') as ByClass<readonly number[]>[]).entries()) {
    const rule = ruleOf({ mode: 'rank', statistics: 'ema', scope: 'global' })
    rule.look(draws[t], effectsAt(t))
    compare(
      `rank.${t}`,
      rule.select(draws[t]).used.flatMap((places) => places.map((place) => draws[t].rows[place])),
      Object.values(used).flat(),
    )
  }
  return checks.checks
}

const vector = (values: readonly number[]) => ({ shape: [values.length], data: Float64Array.from(values) })

function drawOf(lists: ByClass<readonly number[]>): BatchDraw {
  const batches = Object.values(lists)
  const perClass = Math.max(...batches.map((list) => list.length))
  const rows = new Int32Array(batches.length * perClass)
  for (const [c, list] of batches.entries()) rows.set(list, c * perClass)
  return { rows, perClass, counts: Int32Array.from(batches, (list) => list.length) }
}
