/** @file What a report shows of an architecture search: the sources in a table, the sample as dots, and nothing of another set's. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createRunDir } from '../../../src/experiment/run-dir.js'
import type { NasSource } from '../../../src/nas/options.js'
import { nasFile, openNasStore } from '../../../src/nas/record.js'
import { setHash } from '../../../src/nas/set-hash.js'
import type { NasResult } from '../../../src/nas/summary.js'
import { writeReport } from '../../../src/report/index.js'
import { fakeLibrary, run } from '../cli/fake-library.js'
import { expectError, freshDir } from '../data/fixtures.js'
import { tinyRecord, tinySet } from '../experiment/sets.js'
import { elementsLeftOpen } from './elements.js'

const accuracy = (mean: number) => ({ mean, std: 0, n: 1, diverged: 0 })
const means: readonly (readonly [string, number, number | null, number | null])[] = [
  ['convnet-w8-d1', 61, 40, 70],
  ['convnet-w4-d1', 52, 45, 66],
  ['convnet-w4-d2', 48, null, null],
]

const resultOf = (set: string): NasResult => {
  const source = (name: NasSource, spearman: number | null, seconds: number, flops: number) => ({
    source: name,
    sample: { n: 2, spearman, kendall: spearman, interval: spearman === null ? null : ([0.25, 0.75] as const) },
    ...{ top: { n: 2, spearman, kendall: null }, best: { architecture: 'convnet-w8-d1', accuracy: 70 } },
    ...{ trainings: 3, seconds, spaceSeconds: 2 * seconds, flops },
  })
  return {
    ...{ set, seed: 0, top: 0.2, sample: ['convnet-w8-d1', 'convnet-w4-d1'] },
    space: { width: [4, 8], depth: [1], norm: ['none'], activation: ['relu'], pooling: ['avg'] },
    ranking: means.map(([name, distilled, random, full]) => ({
      ...{ name, width: 4, depth: 1, norm: 'none' as const, activation: 'relu' as const, pooling: 'avg' as const, parameters: 9 },
      accuracies: {
        distilled: accuracy(distilled),
        ...(random !== null && { random: accuracy(random) }),
        ...(full !== null && { full: accuracy(full) }),
      },
    })),
    sources: [source('distilled', 0.5, 10, 1e9), source('random', null, 10, 1e9), source('full', 1, 80, 6e9)],
  }
}

async function runWith(result?: NasResult, at?: string): Promise<string> {
  const dir = freshDir()
  await (await createRunDir(dir, tinyRecord())).close()
  await tinySet().save(dir)
  if (result) await (await openNasStore(at ?? dir)).conclude(result)
  return dir
}

const sectionOf = async (dir: string, nas?: string): Promise<string> => {
  const html = readFileSync(await writeReport(dir, undefined, nas === undefined ? {} : { nas }), 'utf8')
  expect(elementsLeftOpen(html)).toEqual([])
  return html.split('<h2>Architecture search</h2>')[1]?.split('</section>')[0] ?? ''
}

describe('an architecture search in the report', () => {
  it('is a table of its sources and dots of its sample', async () => {
    const html = await sectionOf(await runWith(resultOf(await setHash(tinySet()))))
    const rows = [...html.matchAll(/<tr><th scope="row">(.*?)<\/tr>/g)].map(([, row]) => row.replace(/<[^>]*>/g, '|').replace(/\|+/g, '|'))
    const best = 'convnet-w8-d1: 70.0\u00a0%'
    expect(rows).toEqual([
      `distilled images|3|0.50, 0.25 to 0.75|0.50|0.50 (n = 2)|–|${best}|13\u00a0%|10.0 s (10\u00a0%)|20.0 s|`,
      `random real images|2|–|–|– (n = 2)|–|${best}|13\u00a0%|10.0 s (10\u00a0%)|20.0 s|`,
      `all real images|2|1.00, 0.25 to 0.75|1.00|1.00 (n = 2)|–|${best}|75\u00a0%|1 min 20 s (80\u00a0%)|2 min 40 s|`,
    ])
    expect(html).toContain('over 2 of 3 networks')
    const dots = [...html.matchAll(/cx="([\d.]+)" cy="([\d.]+)" r="4"><title>([^<]*)/g)].map(([, x, y, name]) => [
      Number(x),
      Number(y),
      name,
    ])
    expect(dots.map(([, , name]) => name)).toEqual([
      'convnet-w8-d1, distilled images: 61, 70',
      'convnet-w4-d1, distilled images: 52, 66',
      'convnet-w8-d1, random real images: 40, 70',
      'convnet-w4-d1, random real images: 45, 66',
    ])
    // the best is highest and rightmost, in a place of its own on the picture
    expect(dots[0][0]).toBeGreaterThan(Number(dots[1][0]))
    expect(dots[0][1]).toBeLessThan(Number(dots[1][1]))
  })

  it('is found in another directory, and shown without what was lost or is of an earlier version', async () => {
    const other = freshDir()
    const dir = await runWith(resultOf(await setHash(tinySet())), other)
    expect(await sectionOf(dir)).toBe('')
    rmSync(join(other, 'nas-times.json'))
    const kept = JSON.parse(readFileSync(join(other, nasFile), 'utf8'))
    delete kept.result.set
    for (const source of kept.result.sources) delete source.flops
    writeFileSync(join(other, nasFile), JSON.stringify(kept))
    expect(await sectionOf(dir, other)).toMatch(/70\.0\u00a0%<\/td><td class="number">–<\/td><td class="number">–<\/td>/)
    await expectError(() => writeReport(dir, undefined, { nas: freshDir() }), 'not_found', /nas\.json/)
  })

  it('of another set is named, not shown', async () => {
    expect(await sectionOf(await runWith(resultOf('0'.repeat(64))))).toBe(
      '\n<p>Not shown: an architecture search on another set, or on an earlier one of this run.</p>',
    )
    expect(await sectionOf(await runWith())).toBe('')
  })

  it.each([
    ['a result that is none', { sources: [{ source: 'full' }] }, /'sources'/],
    ['accuracies that are none', { ranking: [{ name: 'a', accuracies: { full: 3 } }] }, /'ranking'/],
  ])('of %s is refused', async (_, change, message) => {
    const dir = await runWith(resultOf(await setHash(tinySet())))
    const kept = JSON.parse(readFileSync(join(dir, nasFile), 'utf8'))
    writeFileSync(join(dir, nasFile), JSON.stringify({ ...kept, result: { ...kept.result, ...change } }))
    await expectError(() => writeReport(dir), 'invalid_data', message)
  })

  it('is asked for on the command line, of one run', async () => {
    const other = freshDir()
    const dir = await runWith(resultOf(await setHash(tinySet())), other)
    const { code, stderr } = await run(fakeLibrary().library, 'report', dir, '--no-real', '--nas', other)
    expect(code, stderr).toBe(0)
    expect(readFileSync(join(dir, 'report.html'), 'utf8')).toContain('<h2>Architecture search</h2>')
    expect(await run(fakeLibrary().library, 'report', dir, dir, '--nas', other)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--nas'),
    })
  })
})
