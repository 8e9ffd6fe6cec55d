/** @file Subsets on disk: written and read back, every damaged field refused, other data refused. */
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import {
  applySubset,
  createSubset,
  readSubset,
  type ScoreDescription,
  type SelectOptions,
  selectSamples,
  writeSubset,
} from '../../../src/prune/index.js'
import { randomMatrix } from '../scores/matrices.js'
import { datasetOf } from './datasets.js'

const folder = mkdtempSync(join(tmpdir(), 'subset-'))
afterAll(() => rmSync(folder, { recursive: true }))
const path = join(folder, 'subset.json')

const labels = [0, 1, 0, 1, 0, 1, 0, 1]
const dataset = datasetOf(labels)
const score: ScoreDescription = { name: 'loss', source: 'convnet', pass: 'evaluation', epochs: 5, runs: 5, seed: 0 }
const selection = await selectSamples(dataset, { order: 'asc', scores: [8, 7, 6, 5, 4, 3, 2, 1], keep: 0.5 })
const subset = createSubset(dataset, selection, score)

it('says what was chosen, of what, and how', async () => {
  await writeSubset(path, subset)
  const read = await readSubset(path)
  expect(read).toEqual(subset)
  expect(read).toMatchObject({
    data: { name: 'dots', split: 'train', sha256: dataset.sha256, samples: 8 },
    score,
    rule: { order: 'asc', scope: 'class', amount: { kind: 'fraction', drop: 0.5 }, minimumPerClass: 1, seed: null, ccs: null },
    counts: [2, 2],
    indices: [4, 5, 6, 7],
    totals: [4, 4],
    weights: null,
    values: [4, 3, 2, 1],
  })
})

it('gives the rows that stay, in their order', async () => {
  await writeSubset(path, subset)
  const part = applySubset(dataset, await readSubset(path))
  expect([...part.labels]).toEqual([0, 1, 0, 1])
  expect([...part.images]).toEqual([4, 5, 6, 7])
})

it.each([
  ['a percentage', { order: 'desc', keepPercent: 50 }],
  ['a window', { order: 'moderate', window: [0.25, 0.75] }],
  ['coverage', { order: 'ccs', keep: 0.5, seed: 3, ccs: { hardest: 'smallest' } }],
  ['all classes together', { order: 'asc', keep: 0.25, scope: 'global' }],
] as [string, Omit<SelectOptions, 'scores'>][])('keeps the rule of %s', async (_, options) => {
  const chosen = await selectSamples(dataset, { ...options, scores: [8, 7, 6, 5, 4, 3, 2, 1] })
  await writeSubset(path, createSubset(dataset, chosen, score))
  expect((await readSubset(path)).rule).toEqual(chosen.rule)
})

it('keeps weights to the bit', async () => {
  const weighted = await selectSamples(dataset, { order: 'gradMatch', features: randomMatrix(8, 3, 1), keep: 0.5 })
  await writeSubset(path, createSubset(dataset, weighted, null))
  expect((await readSubset(path)).weights).toEqual([...(weighted.weights ?? [])])
})

it('refuses data of another content, whatever its name', async () => {
  for (const other of [datasetOf(labels, { pixel: 1 }), datasetOf([...labels, 0]), datasetOf([1, 1, 0, 1, 0, 1, 0, 0])])
    expect(() => applySubset(other, subset)).toThrow(
      expect.objectContaining({ code: 'incompatible', message: expect.stringContaining('dots') }),
    )
  expect(() => applySubset(datasetOf(labels, { classes: ['x', 'y'] }), subset)).toThrow(expect.objectContaining({ code: 'incompatible' }))
})

it('is made of a selection from the same data, and of a whole description', async () => {
  const other = datasetOf([1, 1, 0, 1, 0, 0, 0, 0])
  expect(() => createSubset(other, selection, score)).toThrow(expect.objectContaining({ code: 'invalid_option' }))
  for (const bad of [{ ...score, pass: 'test' }, { ...score, runs: -1 }, { name: 'loss' }, 'loss'])
    expect(() => createSubset(dataset, selection, bad as ScoreDescription)).toThrow(expect.objectContaining({ code: 'invalid_option' }))
})

describe('a file', () => {
  /** The subset with a field changed and a fresh seal: only the check of the field can notice. */
  const resealed = (change: object): void => {
    const body = JSON.stringify({ ...subset, ...change }, null, 2).slice(0, -2)
    writeFileSync(path, `${body},\n  "sha256": "${createHash('sha256').update(body).digest('hex')}"\n}\n`)
  }

  it('sealed anew without a change is read', async () => {
    resealed({})
    expect(await readSubset(path)).toEqual(subset)
  })

  it('of an earlier version, without totals and values, is read', async () => {
    resealed({ totals: undefined, values: undefined })
    const { totals, values, ...rest } = subset
    expect(await readSubset(path)).toEqual(rest)
  })

  it.each([
    ['format', 'aludel-synthetic-set'],
    ['version', 2],
    ['data', { ...subset.data, sha256: 'abc' }],
    ['data', { ...subset.data, samples: 0 }],
    ['classes', []],
    ['score', { ...score, epochs: 'five' }],
    ['rule', { ...subset.rule, amount: { kind: 'fraction' } }],
    ['rule', { ...subset.rule, amount: { kind: 'half' } }],
    ['rule', { ...subset.rule, minimumPerClass: -1 }],
    ['rule', { ...subset.rule, amount: { kind: 'fraction', drop: 1 } }],
    ['rule', { ...subset.rule, amount: { kind: 'percent', keepPercent: 10.5 } }],
    ['rule', { ...subset.rule, amount: { kind: 'window', from: 0.5, to: 0.25 } }],
    ['rule', { ...subset.rule, order: 'ascending' }],
    ['rule', { ...subset.rule, scope: 'all' }],
    ['rule', { ...subset.rule, seed: 0.5 }],
    ['rule', { ...subset.rule, order: 'ccs' }],
    ['rule', { ...subset.rule, order: 'ccs', ccs: { hardest: 'top', cutoff: 0, bins: 1 } }],
    ['raised', [{ class: 2, from: 0, to: 1 }]],
    ['counts', [4]],
    ['counts', [2, 3]],
    ['counts', [2.5, 1.5]],
    ['raised', [{ class: 0 }]],
    ['indices', []],
    ['indices', [4, 4, 6, 7]],
    ['indices', [5, 4, 6, 7]],
    ['indices', [4, 5, 6, 8]],
    ['indices', [-1, 5, 6, 7]],
    ['indices', [4, 5, 6.5, 7]],
    ['weights', [1, 2, 3]],
    ['weights', [1, 2, 3, -4]],
    ['totals', [4]],
    ['totals', [1, 7]],
    ['totals', [4, 4.5]],
    ['values', [1, 2, 3]],
    ['values', [1, 2, 3, null]],
  ])("with another '%s' (%j) is refused by the field's name", async (field, value) => {
    resealed({ [field]: value })
    await expect(readSubset(path)).rejects.toMatchObject({ code: 'invalid_data', message: expect.stringContaining(`field '${field}'`) })
  })

  it('with a changed number but not its seal is refused', async () => {
    await writeSubset(path, subset)
    writeFileSync(path, readFileSync(path, 'utf8').replace('"seed": 0', '"seed": 1'))
    await expect(readSubset(path)).rejects.toMatchObject({ code: 'invalid_data', message: expect.stringContaining('sha256') })
  })

  it('that is cut off, no text, or not there is refused', async () => {
    await writeSubset(path, subset)
    writeFileSync(path, readFileSync(path, 'utf8').slice(0, 100))
    await expect(readSubset(path)).rejects.toMatchObject({ code: 'invalid_data' })
    writeFileSync(path, Uint8Array.of(0x7b, 0xff, 0x7d))
    await expect(readSubset(path)).rejects.toMatchObject({ code: 'invalid_data', message: expect.stringContaining('UTF-8') })
    await expect(readSubset(join(folder, 'none.json'))).rejects.toMatchObject({ code: 'not_found' })
  })
})
