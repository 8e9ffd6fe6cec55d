/** @file A pruned run's report: the rule, what each class kept, the easiest and hardest that stayed, and what dynamic pruning left out. */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { collectRealImages, type RealImages, readRealImages, writeRealImages } from '../../../src/experiment/real-images.js'
import { createRunDir, type LoggedEvent, type RunRecord } from '../../../src/experiment/run-dir.js'
import type { PruningEvent } from '../../../src/experiment/types.js'
import { applySubset, readSubset, subsetHash, writeSubset } from '../../../src/prune/index.js'
import { collectReport } from '../../../src/report/collect.js'
import { extremesOf } from '../../../src/report/extremes.js'
import { writeReport } from '../../../src/report/index.js'
import { keptGallery, pruningCurve } from '../../../src/report/training-images.js'
import { freshDir } from '../data/fixtures.js'
import { tinyRecord, tinySet } from '../experiment/sets.js'
import { elementsLeftOpen } from './elements.js'
import { losses, scoredDataset, writeSubsetOf } from './scores-dir.js'

const data = scoredDataset()

async function runOn(subset: string | undefined, change: Partial<RunRecord> = {}, events: LoggedEvent[] = []): Promise<string> {
  const dir = freshDir()
  const record = tinyRecord()
  const specification = subset === undefined ? record.data.specification : `${record.data.specification},subset=${subset}`
  const run = await createRunDir(dir, { ...record, data: { ...record.data, specification }, ...change })
  for (const event of events) await run.append(event)
  await run.close()
  await tinySet().save(dir)
  return dir
}

const pageOf = async (dir: string): Promise<string> => readFileSync(await writeReport(dir), 'utf8')

const look = (step: number, used: number, fallbacks = 0): PruningEvent => ({
  type: 'pruning',
  step,
  drawn: 100,
  used,
  fallbacks,
  masked: 100 - used,
})

describe('a run on a subset', () => {
  it('says which images it takes, by which rule, and what each class kept', async () => {
    const html = await pageOf(await runOn(await writeSubsetOf(data)))
    for (const text of [
      'Training images',
      'asc: smallest scores stay',
      '12 of 60 images',
      'Every class keeps the same share',
      '<td class="number">4 of 20</td>',
    ])
      expect(html).toContain(text)
    expect(elementsLeftOpen(html)).toEqual([])
    expect(html).not.toContain('<few>')
  })

  it('reads the one that it has chosen itself, and takes no other for it', async () => {
    const chosen = await readSubset(await writeSubsetOf(data))
    const other = await readSubset(await writeSubsetOf(data, { keep: 0.5 }))
    const prune = { plan: {}, scores: null, zca: null, subsetSha256: subsetHash(chosen) }
    const dir = await runOn(undefined, { prune })
    await writeSubset(join(dir, 'subset.json'), chosen)
    expect(await pageOf(dir)).toContain('<code>subset.json</code>')
    await writeSubset(join(dir, 'subset.json'), other)
    expect(await pageOf(dir)).toContain('it is not the one that the run has chosen')
  })

  it('is reported without a file that is gone', async () => {
    const file = await writeSubsetOf(data)
    const dir = await runOn(file)
    rmSync(file)
    expect(await pageOf(dir)).toMatch(/it cannot be read: .*subset|kept/)
  })

  it('shows the easiest and hardest that stayed, with their rows in the whole data', async () => {
    const subset = await readSubset(await writeSubsetOf(data))
    const part = applySubset(data, subset)
    const rows = part.classes.map((_, c) => part.classIndices(c))
    const ends = extremesOf(
      { score: { ...subset.score, name: 'loss' } as never, values: Float64Array.from(subset.values ?? []) },
      { rows },
      2,
    ).classes
    const nearest = { rows: Int32Array.of(0), distances: Float64Array.of(0.5) }
    const dir = freshDir()
    await writeRealImages(dir, await collectRealImages(part, nearest, 1, ends))
    const { kept } = (await readRealImages(dir, { images: 1, pixels: 72, classes: 3 })) as RealImages
    expect([...(kept?.rows ?? [])]).toEqual([0, 3, 9, 6, 1, 4, 10, 7, 2, 5, 11, 8])
    expect(kept?.images.subarray(72, 144)).toEqual(data.images.subarray(3 * 72, 4 * 72))
    const html = keptGallery(subset, kept, data.classes, [6, 4, 3])
    expect(html).toContain(`image 9: loss ${Number(losses[9].toPrecision(3))}`)
    expect(html).toContain('2 hardest images of class &lt;ship&gt; that stayed, by loss')
  })
})

describe('dynamic pruning', () => {
  it('is drawn as the share that was used, with what it came to', async () => {
    const html = await pageOf(await runOn(undefined, {}, [look(5, 80), look(10, 70, 2)]))
    expect(html).toContain(
      'Of the real images drawn at 2 looks at their effects, 75.0 % were used; at the look that left out most, 70.0 %.',
    )
    expect(html).toContain('After step 10, 30 images are masked; 2 times a class')
    expect(html).toContain('id="pruning"')
  })

  it('forgets looks that the run went back from', async () => {
    const back: LoggedEvent = { type: 'rollback', to: 5, rollbacks: 1, imageLr: 0.05, reason: 'NaN' }
    const { looks } = await collectReport(await runOn(undefined, {}, [look(5, 80), look(10, 70), back, look(10, 60)]))
    expect(looks.map(({ used }) => used)).toEqual([80, 60])
  })

  it('is nothing for a run without it, and no curve for one look', () => {
    expect(pruningCurve([])).toBe('')
    expect(pruningCurve([look(5, 80)])).not.toContain('<svg')
  })
})
