/** @file What a report says of a run's experts and of the parameters that it matches. */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createRunDir } from '../../../src/experiment/run-dir.js'
import type { RunConfig } from '../../../src/experiment/types.js'
import { type ExpertsRecord, expertsFormat, expertsVersion, readRecord, writeRecord } from '../../../src/experts/record.js'
import { expertsSection } from '../../../src/report/curriculum.js'
import { writeReport } from '../../../src/report/index.js'
import { matchedParameters } from '../../../src/report/matched-parameters.js'
import { padCifar10 } from '../../../src/schedule/pad-rule.js'
import { freshDir } from '../data/fixtures.js'
import { tinyRecord, tinySet } from '../experiment/sets.js'
import { elementsLeftOpen } from './elements.js'

const store: ExpertsRecord = {
  format: expertsFormat,
  version: expertsVersion,
  network: 'convnet',
  image: [32, 32, 3],
  classes: Array.from('0123456789'),
  data: { name: 'cifar10', split: 'train', sha256: 'a'.repeat(64), samples: 50000 },
  mean: [0.5, 0.5, 0.5],
  std: [0.2, 0.2, 0.2],
  parameters: 320010,
  epochs: 100,
  kept: [0, 100],
  experts: 5,
  config: { optimizer: 'gsam', rho: 0.01 },
  schedule: { name: 'pad', kind: 'pad', ...padCifar10, scope: 'class', ranking: 'b'.repeat(64) },
  arithmetic: { isa: 'avx2' },
  specification: null,
}
const config: RunConfig = { method: 'pad', minStartEpoch: 0, maxStartEpoch: 20, expertEpochs: 2 }
const sectionOf = (change: Partial<ExpertsRecord>) =>
  expertsSection({ path: 'experts/c10', count: 3, record: { ...store, ...change } }, config)

describe('experts', () => {
  it('says which epochs are matched and what share of the samples every epoch saw', () => {
    const html = sectionOf({})
    expect(html).toContain('The run starts from epochs 0 to 19 and matches what 2 more epochs made of them: epochs 0 to 21.')
    expect(html).toContain(
      'Of every class, sorted from easy to hard, the experts trained on: epochs 0 to 20 the easiest 75 % to 100 %; ' +
        'epochs 21 to 40 all; epochs 41 to 60 all but the easiest 10 %; epochs 61 to 99 all but the easiest 20 %.',
    )
    const [, data] = /id="curriculum-data"[^>]*>([^<]*)</.exec(html) ?? []
    const { series, steps, axis } = JSON.parse(data)
    expect(axis).toBe('epoch')
    expect(steps).toHaveLength(100)
    const at = (epoch: number) => series.map(({ values }: { values: number[] }) => values[epoch])
    expect([0, 10, 20, 41, 61].map(at)).toEqual([
      [75, 0],
      [87.5, 0],
      [100, 0],
      [100, 10],
      [100, 20],
    ])
    expect(html).toContain('<th scope="row">rho</th><td>0.01</td>')
    expect(elementsLeftOpen(html)).toEqual([])
  })

  it('goes as far as there are epochs, and takes all samples for one list where the schedule does', () => {
    expect(sectionOf({ epochs: 11 })).toContain('trained on: epochs 0 to 10 the easiest 75 % to 87.5 %.')
    const schedule = { ...store.schedule, scope: 'global' }
    expect(sectionOf({ epochs: 1, schedule })).toContain(
      'Of all images, sorted from easy to hard, the experts trained on: epoch 0 the easiest 75 %.',
    )
  })

  it.each([
    [{ name: 'none' }, 'The experts trained on all images in every epoch.'],
    [{ name: 'mine & yours' }, 'The experts trained by the schedule mine &amp; yours in every epoch.'],
  ])('has no curve for the schedule %j', (schedule, text) => {
    const html = sectionOf({ schedule })
    expect(html).toContain(text)
    expect(html).not.toContain('curriculum')
  })

  it('is empty for runs without experts', () => expect(expertsSection(undefined, config)).toBe(''))
})

const table = (html: string) =>
  [
    ...html.matchAll(
      /<th scope="row">([^<]*)<\/th><td class="number">(\d+)<\/td><td class="number">(\d+)<\/td><td class="number">([^<]*)</g,
    ),
  ].map(([, name, size, left, share]) => `${name} ${size} ${left} ${share}`)

describe('matched parameters', () => {
  const image = [32, 32, 3]
  const of = (mask: string, more: RunConfig = {}) => matchedParameters({ network: 'convnet', mask, ...more }, image, 10)

  it('are shown tensor by tensor, the cut where it falls', () => {
    const html = of('depth:0.25')
    expect(html).toContain('leaves out the first 80002 of 320010 parameters (25.0 %)')
    const rows = table(html)
    expect(rows).toHaveLength(14)
    expect(rows.slice(0, 6)).toEqual([
      'conv0.weight 3456 0 0.0 %',
      'conv0.bias 128 0 0.0 %',
      'norm0.gamma 128 0 0.0 %',
      'norm0.beta 128 0 0.0 %',
      // 51.7 % of it are left out
      'conv1.weight 147456 71294 48.3 %',
      'conv1.bias 128 128 100.0 %',
    ])
    expect(elementsLeftOpen(html)).toEqual([])
  })

  it('are those of the layers that a method matches', () => {
    const rows = table(of('depth:0.25', { layers: [4] }))
    expect(rows.at(4)).toBe('conv1.weight 147456 0 0.0 %')
    expect(rows.slice(-2)).toEqual(['fc.weight 20480 20480 100.0 %', 'fc.bias 10 10 100.0 %'])
  })

  it('are others in every iteration under a mask by loss', () => {
    expect(of('loss:0.5')).toContain('the 160005 of 320010 parameters (50.0 %) whose difference is smallest')
  })

  it('are not shown without a mask, and not counted of a network that is not known', () => {
    expect(of('none')).toBe('')
    expect(matchedParameters({ network: 'convnet' }, image, 10)).toBe('')
    expect(of('depth:0.5', { network: 'my <own>' })).toBe('<p>Mask depth:0.5.</p>')
  })
})

describe('the report of a run', () => {
  async function pageOf(dir: string, sha256: string) {
    const run = await createRunDir(freshDir(), {
      ...tinyRecord(),
      config: { ...tinyRecord().config, ...config, network: 'convnet', mask: 'depth:0.5' },
      experts: { path: dir, sha256, numbers: [0, 1, 4] },
    })
    await run.close()
    await tinySet().save(run.dir)
    return readFileSync(await writeReport(run.dir), 'utf8')
  }

  it('reads the store, and stands without it', async () => {
    const dir = freshDir()
    await writeRecord(dir, store)
    const { sha256 } = await readRecord(dir)
    const html = await pageOf(dir, sha256)
    expect(html).toContain('<h2>Experts</h2>')
    expect(html).toContain('the easiest 75 % to 100 %')
    expect(html).toContain('<h2>Matched parameters</h2>')
    expect(elementsLeftOpen(html)).toEqual([])
    expect(await pageOf(dir, 'c'.repeat(64))).toContain('3 experts in ')
    expect(await pageOf(dir, 'c'.repeat(64))).toContain('its record is not the one that the run began with')
    rmSync(join(dir, 'experts.json'))
    expect(await pageOf(dir, sha256)).toMatch(/whose record cannot be shown: .*experts\.json/)
  })
})
