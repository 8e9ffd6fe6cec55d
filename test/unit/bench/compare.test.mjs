/** @file The bench harness's arithmetic: what a comparison reports, and what it accepts from a peer. */
import { describe, expect, it } from 'vitest'
import { readResult, summarize } from '../../../bench/compare.mjs'
import { measure, median } from '../../../bench/lib/timer.mjs'

describe('compare', () => {
  it('takes the last JSON line with a time, whatever else is printed', () => {
    expect(readResult('warming up\n{"median_s": 2}\n{"median_s": 3, "step": "dm"}\n{not json}\nbye\n')).toEqual({ median_s: 3, step: 'dm' })
  })

  it.each(['', 'no json', '{"median_s": 0}', '{"seconds": 1}'])('has no result for %j', (output) => {
    expect(readResult(output)).toBeUndefined()
  })

  it('reports the median ratio of rounds with its spread', () => {
    const rounds = [
      [1, 2],
      [3, 3],
      [1, 4],
    ].map(([own, peer]) => ({ own: { median_s: own }, peer: { median_s: peer } }))
    expect(summarize('dm', rounds)).toEqual({
      name: 'dm',
      ratio: 0.5,
      ratio_min: 0.25,
      ratio_max: 1,
      own_median_s: 1,
      peer_median_s: 3,
      rounds: 3,
    })
  })
})

describe('timer', () => {
  it('takes the middle of an odd and the mean of the middle two of an even count', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 2, 3])).toBe(2.5)
  })

  it('does not time the warm-up', async () => {
    let calls = 0
    const { seconds, value } = await measure(async () => ++calls, { iters: 3, warmup: 2 })
    expect(seconds).toHaveLength(3)
    expect(value).toBe(5)
  })
})
