/** @file Scores of logits: borders where naive formulas fail, streams of batches, bad input. Values: golden cases. */
import { describe, expect, it } from 'vitest'
import { type LogitBatch, type LogitScoreName, logitScores, scoreLogits } from '../../../src/scores/logits.js'
import { scoreInfo, scoreNames } from '../../../src/scores/registry.js'
import { matrixOf, randomMatrix } from './matrices.js'

const all = Object.keys(logitScores) as LogitScoreName[]

const scoresOfOne = async (logits: number[], label: number) => {
  const batch = { logits: matrixOf([logits]), labels: [label], featureNorms: [Math.sqrt(3)] }
  const scores = await scoreLogits(batch, { scores: all, samples: 1 })
  return Object.fromEntries(all.map((name) => [name, scores[name][0]])) as Record<LogitScoreName, number>
}

describe('values', () => {
  it('are those of the formulas', async () => {
    // p = 1/2, 1/4, 1/4
    const scores = await scoresOfOne([Math.log(2), 0, 0], 1)
    const errorNorm = Math.sqrt(0.25 + 0.5625 + 0.0625)
    const expected: Record<LogitScoreName, number> = {
      loss: Math.log(4),
      el2n: errorNorm,
      grandLastLayer: errorNorm * 2,
      margin: 0.25,
      marginTrue: 0.25,
      aum: -Math.log(2),
      entropy: 1.5 * Math.log(2),
      leastConfidence: 0.5,
    }
    for (const name of all) expect(scores[name], name).toBeCloseTo(expected[name], 14)
  })

  it('of a sure network keep their digits: 1 - p would be 0', async () => {
    const scores = await scoresOfOne([50, 0], 0)
    expect(scores.loss).toBe(Math.exp(-50))
    expect(scores.leastConfidence).toBe(Math.exp(-50))
    expect(scores.el2n / Math.exp(-50)).toBeCloseTo(Math.SQRT2, 14)
  })

  it('of huge logits stay finite', async () => {
    const scores = await scoresOfOne([1e4, 0, -1e4], 2)
    expect(scores).toMatchObject({ loss: 2e4, aum: -2e4, entropy: 0, margin: 1, marginTrue: 1, leastConfidence: 0, el2n: Math.SQRT2 })
  })

  it('count a class of -Infinity for nothing', async () => {
    const [with3, with2] = [await scoresOfOne([1, 2, Number.NEGATIVE_INFINITY], 0), await scoresOfOne([1, 2], 0)]
    expect(with3).toEqual(with2)
  })
})

describe('batches', () => {
  const logits = randomMatrix(23, 5, 1)
  const labels = Array.from({ length: 23 }, (_, i) => (i * 3) % 5)
  const batch = (from: number, to: number): LogitBatch => ({
    logits: { data: logits.data.slice(from * 5, to * 5), shape: [to - from, 5] },
    labels: labels.slice(from, to),
  })
  const scores = ['loss', 'entropy'] as const

  it('give the same bits however they are cut, from arrays and from streams', async () => {
    const whole = await scoreLogits({ logits, labels }, { scores, samples: 23 })
    const cuts = [batch(0, 1), batch(1, 9), batch(9, 23)]
    async function* stream() {
      yield* cuts
    }
    expect(await scoreLogits(cuts, { scores, samples: 23 })).toEqual(whole)
    expect(await scoreLogits(stream(), { scores, samples: 23 })).toEqual(whole)
  })

  it('must hold as many samples as was said', async () => {
    for (const cuts of [[batch(0, 22)], [batch(0, 23), batch(0, 1)], []])
      await expect(scoreLogits(cuts, { scores, samples: 23 })).rejects.toMatchObject({ code: 'invalid_data' })
  })
})

describe('bad input', () => {
  const good = { logits: matrixOf([[0, 1], [2, 3]]), labels: [0, 1] } // biome-ignore format: two rows
  const scores = ['loss'] as const

  it('names rows whose score is no number, and how many', async () => {
    const logits = randomMatrix(20, 2, 2)
    for (let row = 3; row < 13; row++) logits.data[2 * row] = Number.NaN
    const failure = scoreLogits({ logits, labels: new Int32Array(20) }, { scores: ['entropy'], samples: 20 })
    await expect(failure).rejects.toMatchObject({ code: 'not_finite', message: expect.stringContaining('10 of 20 are not, at 3, 4, 5') })
  })

  it.each(all)('%s: NaN and infinity never become a score', async (name) => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      for (const place of [0, 1, 2]) {
        const row = [0.5, 0.25, 0]
        row[place] = bad
        const failure = scoreLogits({ logits: matrixOf([row]), labels: [1], featureNorms: [1] }, { scores: [name], samples: 1 })
        await expect(failure, `${bad} at ${place}`).rejects.toMatchObject({ code: 'not_finite' })
      }
    }
  })

  it('refuses labels that are no class, or too few', async () => {
    for (const label of [2, -1, 0.5, Number.NaN])
      await expect(scoreLogits({ ...good, labels: [0, label] }, { scores, samples: 2 })).rejects.toMatchObject({ code: 'invalid_index' })
    await expect(scoreLogits({ ...good, labels: [0] }, { scores, samples: 2 })).rejects.toMatchObject({ code: 'invalid_shape' })
  })

  it('wants feature norms for the last layer', async () => {
    const options = { scores: ['grandLastLayer'], samples: 2 } as const
    await expect(scoreLogits(good, options)).rejects.toMatchObject({
      code: 'invalid_data',
      message: expect.stringContaining('featureNorms'),
    })
    await expect(scoreLogits({ ...good, featureNorms: [1, Number.NaN] }, options)).rejects.toMatchObject({ code: 'not_finite' })
  })

  it('refuses other names, shapes and things', async () => {
    const bad = (batch: unknown, options: unknown) => scoreLogits(batch as LogitBatch, options as { scores: ['loss']; samples: number })
    await expect(bad(good, { scores: ['el3n'], samples: 2 })).rejects.toMatchObject({ code: 'invalid_option' })
    await expect(bad(good, { scores: ['toString'], samples: 2 })).rejects.toMatchObject({ code: 'invalid_option' })
    await expect(bad(good, { scores: [], samples: 2 })).rejects.toMatchObject({ code: 'invalid_option' })
    await expect(bad(good, { scores, samples: 0 })).rejects.toMatchObject({ code: 'invalid_option' })
    await expect(bad(7, { scores, samples: 2 })).rejects.toMatchObject({ code: 'invalid_option' })
    await expect(bad([7], { scores, samples: 2 })).rejects.toMatchObject({ code: 'invalid_option' })
    await expect(bad({ logits: matrixOf([[1]]), labels: [0] }, { scores, samples: 1 })).rejects.toMatchObject({ code: 'invalid_shape' })
  })
})

it('says of every score where its easy end is', () => {
  expect(scoreNames.filter((name) => scoreInfo(name).easy === 'high')).toEqual(['margin', 'aum'])
  for (const name of scoreNames) expect(scoreInfo(name)).toMatchObject({ name, source: expect.stringMatching(/./) })
  expect(() => scoreInfo('glister' as 'loss')).toThrow(expect.objectContaining({ code: 'not_found' }))
})
