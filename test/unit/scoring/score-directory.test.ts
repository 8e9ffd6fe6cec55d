/** @file The directory of scores: a sealed record, one file for each kind, features beside them; damage and other data are refused. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { describeScores, type ScoreDescription, writeScores } from '../../../src/prune/index.js'
import { scoredData } from '../../../src/prune/provenance.js'
import { readFeatures, writeFeatures } from '../../../src/scoring/feature-file.js'
import {
  featuresPath,
  hasFeatures,
  isScoreDirectory,
  kindPath,
  listKinds,
  readDoneRecord,
  readKind,
  readRecord,
  recordPath,
  startRecord,
  writeKind,
  writeRecord,
} from '../../../src/scoring/score-directory.js'
import { datasetOf } from '../prune/datasets.js'

const folder = mkdtempSync(join(tmpdir(), 'scores-'))
afterAll(() => rmSync(folder, { recursive: true }))
const freshDir = () => mkdtempSync(join(folder, 'd-'))

const data = datasetOf([0, 1, 0, 1])
const about = (name: string): ScoreDescription => ({ name, source: 'convnet', pass: 'evaluation', epochs: 2, runs: 1, seed: 0 })
const scoresNamed = (name: string) => describeScores(data, [4, 3, 2, 1], about(name))
const running = startRecord(data, { source: { kind: 'networks', network: 'convnet', runs: 1 }, kinds: ['loss', 'el2n'], versions: {} })
const done = { ...running, status: 'done', accuracies: [75], perClass: [50, 100], seconds: 3.5 } as const
const refused = (code: string) => expect.objectContaining({ code })

describe('a score directory', () => {
  it('holds a record and the scores of each kind', async () => {
    const dir = freshDir()
    expect(await isScoreDirectory(dir)).toBe(false)
    await writeRecord(dir, running)
    expect(await isScoreDirectory(dir)).toBe(true)
    expect(await listKinds(dir)).toEqual([])
    await writeKind(dir, 'el2n', scoresNamed('el2n'))
    await writeKind(dir, 'loss', scoresNamed('loss'))
    await writeRecord(dir, done)
    expect(await listKinds(dir)).toEqual(['loss', 'el2n'])
    expect(await readDoneRecord(dir)).toEqual(done)
    expect(await readKind(dir, 'loss')).toEqual(scoresNamed('loss'))
  })

  it('gives no scores before all are there', async () => {
    const dir = freshDir()
    await writeRecord(dir, running)
    await writeKind(dir, 'loss', scoresNamed('loss'))
    await expect(readKind(dir, 'loss')).rejects.toThrow(/aludel score --resume/)
  })

  it('names the kinds that it has', async () => {
    const dir = freshDir()
    await writeRecord(dir, done)
    await writeKind(dir, 'loss', scoresNamed('loss'))
    await expect(readKind(dir, 'el2n')).rejects.toThrow(/expected loss but received 'el2n'/)
    for (const kind of ['../loss', '', 'features']) expect(() => kindPath(dir, kind)).toThrow(refused('invalid_option'))
  })

  it('refuses a file of another kind or of other data', async () => {
    const dir = freshDir()
    await writeRecord(dir, done)
    await expect(writeKind(dir, 'loss', scoresNamed('el2n'))).rejects.toEqual(refused('invalid_option'))
    await writeScores(kindPath(dir, 'loss'), scoresNamed('el2n'))
    await expect(readKind(dir, 'loss')).rejects.toEqual(refused('invalid_data'))
    await writeScores(kindPath(dir, 'loss'), describeScores(datasetOf([0, 1, 0, 1], { pixel: 5 }), [1, 2, 3, 4], about('loss')))
    await expect(readKind(dir, 'loss')).rejects.toEqual(refused('invalid_data'))
  })

  it('notices any change of the record', async () => {
    const dir = freshDir()
    await writeRecord(dir, done)
    const text = readFileSync(recordPath(dir), 'utf8')
    writeFileSync(recordPath(dir), text.replace('"seconds": 3.5', '"seconds": 3.6'))
    await expect(readRecord(dir)).rejects.toEqual(refused('invalid_data'))
    for (const field of Object.keys(done)) {
      await writeRecord(dir, { ...done, [field]: undefined } as never)
      await expect(readRecord(dir), field).rejects.toThrow(`field '${field}'`)
    }
  })
})

describe('a feature file', () => {
  const file = {
    data: scoredData(data),
    score: about('features'),
    features: { data: Float32Array.from({ length: 12 }, (_, i) => i / 3), shape: [4, 3] as const },
    logits: { data: Float32Array.from({ length: 8 }, (_, i) => -i), shape: [4, 2] as const },
  }

  it('keeps every bit', async () => {
    const dir = freshDir()
    expect(await hasFeatures(dir)).toBe(false)
    await writeFeatures(featuresPath(dir), file)
    expect(await hasFeatures(dir)).toBe(true)
    expect(await readFeatures(featuresPath(dir))).toEqual(file)
  })

  it('is refused after a change of any byte', async () => {
    const path = featuresPath(freshDir())
    await writeFeatures(path, file)
    const bytes = Uint8Array.from(readFileSync(path))
    for (let at = 0; at < bytes.length; at++) {
      const damaged = bytes.slice()
      damaged[at] ^= 1
      writeFileSync(path, damaged)
      await expect(readFeatures(path), `byte ${at}`).rejects.toEqual(refused('invalid_data'))
    }
  })

  it('takes finite numbers, a row for each sample', async () => {
    const path = featuresPath(freshDir())
    const bad = { data: new Float32Array(12).fill(Number.NaN), shape: [4, 3] as const }
    await expect(writeFeatures(path, { ...file, features: bad })).rejects.toEqual(refused('not_finite'))
    const short = { data: new Float32Array(6), shape: [2, 3] as const }
    await expect(writeFeatures(path, { ...file, features: short })).rejects.toEqual(refused('invalid_data'))
  })
})
