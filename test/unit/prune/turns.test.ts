/** @file Lists that are worked through in pieces, so that the event loop has its turns: what comes of them is what one piece would give. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Turn } from '../../../src/event-loop.js'
import { exportBilpScores, importBilpScores, selectSamples } from '../../../src/prune/index.js'
import { sortInTurns } from '../../../src/scores/sort-in-turns.js'

const samples = 100_003
const scores: Float64Array = Float64Array.from({ length: samples }, (_, i) => Math.imul(i, 2654435761) / 2 ** 31)

it.each([0, 1, 4095, 4096, 4097, samples])('sorting %i numbers gives what sort gives', async (length) => {
  const values = scores.slice(0, length)
  expect(await sortInTurns(values.slice(), new Turn())).toEqual(values.slice().sort())
})

it('a selection from many pieces is that of a sort of all', async () => {
  const data = { labels: new Int32Array(samples), classes: ['all'] }
  const { indices, values } = await selectSamples(data, { order: 'asc', scores, keepPercent: 30 })
  const order = [...scores.keys()].sort((a, b) => scores[a] - scores[b] || a - b).slice(0, Math.floor(0.3 * samples))
  expect([...indices]).toEqual(order.toSorted((a, b) => a - b))
  expect(values?.every((value, i) => value === scores[indices[i]])).toBe(true)
})

it('other work has its turns meanwhile', async () => {
  const data = { labels: new Int32Array(samples), classes: ['all'] }
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  await selectSamples(data, { order: 'moderate', scores, keep: 0.3 })
  clearInterval(timer)
  expect(turns).toBeGreaterThan(3)
})

describe('BiLP files of many pieces', () => {
  const dir = mkdtempSync(join(tmpdir(), 'pieces-'))
  const path = join(dir, 'A_B.json')

  it('keep every bit', async () => {
    const { values } = await importBilpScores(await exportBilpScores(dir, { dataset: 'A', indicator: 'B', values: scores }))
    expect(Buffer.compare(new Uint8Array(values.buffer), new Uint8Array(scores.buffer as ArrayBuffer))).toBe(0)
  })

  const text = `[${Array.from(scores, (value) => `${value} `).join(',\n')}]`
  it.each([
    ['white space', `\n ${text} \n`, undefined],
    ['a cut end', text.slice(0, -1), 'invalid_data'],
    ['two commas', text.replace(/,(?=[^,]*\]$)/, ',,'), 'invalid_data'],
    ['a comma at the end', text.replace(/\]$/, ',]'), 'invalid_data'],
    ['a text', text.replace(/\]$/, ',"a,b"]'), 'invalid_data'],
    ['a list', text.replace(/\]$/, ',[1,2]]'), 'invalid_data'],
    ['infinity', text.replace(/\]$/, ',Infinity]'), 'not_finite'],
  ])('with %s', async (_, content, code) => {
    writeFileSync(path, content)
    if (code === undefined) expect((await importBilpScores(path)).values).toHaveLength(samples)
    else await expect(importBilpScores(path)).rejects.toMatchObject({ code })
  })
})
