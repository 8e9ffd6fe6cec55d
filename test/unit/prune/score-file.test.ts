/** @file Score files of this package and of BiLP: doubles keep their bits, damage and other data are refused. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { encodeSafetensors } from '../../../src/files/safetensors.js'
import {
  describeScores,
  exportBilpScores,
  importBilpScores,
  readScores,
  type ScoreDescription,
  scoresOf,
  writeScores,
} from '../../../src/prune/index.js'
import { datasetOf } from './datasets.js'

const folder = mkdtempSync(join(tmpdir(), 'scores-'))
afterAll(() => rmSync(folder, { recursive: true }))

const awkward = Float64Array.of(0.1 + 0.2, -0, Number.MIN_VALUE, Number.MAX_VALUE, 1 / 3, 5, -1e21, 1e-7)
const dataset = datasetOf([0, 1, 0, 1, 0, 1, 0, 1])
const score: ScoreDescription = { name: 'loss', source: 'convnet', pass: 'training', epochs: 5, runs: 3, seed: 1 }
const bits = (values: Float64Array) => [...new BigUint64Array(values.slice().buffer)]

describe('a score file', () => {
  const path = join(folder, 'loss.safetensors')
  const scores = describeScores(dataset, awkward, score)

  it('holds every bit and what the scores are', async () => {
    await writeScores(path, scores)
    const read = await readScores(path)
    expect(bits(read.values)).toEqual(bits(awkward))
    expect(read.score).toEqual(score)
    expect(read.data).toEqual({ name: 'dots', split: 'train', sha256: dataset.sha256, samples: 8 })
    expect(scoresOf(dataset, read)).toEqual(awkward)
  })

  it('is refused after a change of any byte', async () => {
    await writeScores(path, scores)
    const bytes = Uint8Array.from(readFileSync(path))
    for (let at = 0; at < bytes.length; at++) {
      const damaged = bytes.slice()
      damaged[at] ^= 1
      writeFileSync(path, damaged)
      await expect(readScores(path), `byte ${at}`).rejects.toMatchObject({ code: 'invalid_data' })
    }
  })

  it('says nothing about other data', () => {
    expect(() => scoresOf(datasetOf([0, 1], { pixel: 9 }), scores)).toThrow(expect.objectContaining({ code: 'incompatible' }))
  })

  it('takes one finite number for each sample', async () => {
    expect(() => describeScores(dataset, [1, 2], score)).toThrow(expect.objectContaining({ code: 'invalid_data' }))
    expect(() => describeScores(dataset, new Array(8).fill(Number.NaN), score)).toThrow(expect.objectContaining({ code: 'not_finite' }))
    expect(() => describeScores(dataset, awkward, { ...score, source: 1 } as never)).toThrow(
      expect.objectContaining({ code: 'invalid_option' }),
    )
    const infinite = { ...scores, values: awkward.map(() => Number.POSITIVE_INFINITY) }
    await expect(writeScores(path, infinite)).rejects.toMatchObject({ code: 'not_finite' })
  })

  it('is no other safetensors file, and is there', async () => {
    writeFileSync(path, encodeSafetensors(new Map(), { format: 'aludel-zca', version: '1' }))
    await expect(readScores(path)).rejects.toMatchObject({ code: 'invalid_data', message: expect.stringContaining('aludel-scores') })
    writeFileSync(path, encodeSafetensors(new Map(), { format: 'aludel-scores', version: '1', about: '{"data": 1}' }))
    await expect(readScores(path)).rejects.toMatchObject({ code: 'invalid_data', message: expect.stringContaining('data and score') })
    await expect(readScores(join(folder, 'none'))).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe("BiLP's files", () => {
  it('are one array of floats, exact in both directions', async () => {
    const path = await exportBilpScores(folder, { dataset: 'CIFAR10', indicator: 'LossConverge', values: awkward })
    expect(path).toBe(join(folder, 'CIFAR10_LossConverge.json'))
    expect(readFileSync(path, 'utf8')).toBe(
      '[0.30000000000000004, -0.0, 5e-324, 1.7976931348623157e+308, 0.3333333333333333, 5.0, -1e+21, 1e-7]',
    )
    const read = await importBilpScores(path)
    expect(read).toMatchObject({ dataset: 'CIFAR10', indicator: 'LossConverge' })
    expect(bits(read.values)).toEqual(bits(awkward))
  })

  it('are read as Python writes them', async () => {
    const path = join(folder, 'Tiny_ImageNet_MonteCarlo.json')
    writeFileSync(path, '[0.5, 1e-05, 2, 1.0]\n')
    expect(await importBilpScores(path)).toEqual({
      dataset: 'Tiny_ImageNet',
      indicator: 'MonteCarlo',
      values: Float64Array.of(0.5, 1e-5, 2, 1),
    })
  })

  it.each([
    ['[1.0, NaN]', 'not_finite'],
    ['[-Infinity]', 'not_finite'],
    ['[1.0, "2"]', 'invalid_data'],
    ['[[1.0]]', 'invalid_data'],
    ['[]', 'invalid_data'],
    ['{"scores": [1.0]}', 'invalid_data'],
    ['[1.0,', 'invalid_data'],
  ])('%s is refused', async (text, code) => {
    const path = join(folder, 'CIFAR10_LossInit.json')
    writeFileSync(path, text)
    await expect(importBilpScores(path)).rejects.toMatchObject({ code })
  })

  it('have names of one form', async () => {
    await expect(importBilpScores(join(folder, 'scores.json'))).rejects.toMatchObject({ code: 'invalid_option' })
    await expect(importBilpScores(join(folder, 'CIFAR100_LossInit.json'))).rejects.toMatchObject({ code: 'not_found' })
    const bad = (dataset: string, indicator: string, values = awkward) => exportBilpScores(folder, { dataset, indicator, values })
    for (const [dataset, indicator] of [
      ['../CIFAR10', 'LossInit'],
      ['CIFAR10', 'Loss_Init'],
      ['', 'LossInit'],
    ])
      await expect(bad(dataset, indicator)).rejects.toMatchObject({ code: 'invalid_option' })
    await expect(bad('CIFAR10', 'LossInit', Float64Array.of(Number.NaN))).rejects.toMatchObject({ code: 'not_finite' })
    await expect(bad('CIFAR10', 'LossInit', new Float64Array())).rejects.toMatchObject({ code: 'invalid_option' })
  })
})
