/** @file The report of a sweep: means and intervals, curves with bands, tables, links to runs; complete in every state. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createRunDir } from '../../../src/experiment/run-dir.js'
import { writeSweep } from '../../../src/experiment/sweep-record.js'
import { writeSweepReport } from '../../../src/report/index.js'
import { accuracyChart, timeOf } from '../../../src/report/sweep-charts.js'
import { sweepPage } from '../../../src/report/sweep-page.js'
import { everything, intervalOf, seriesOf } from '../../../src/report/sweep-summary.js'
import { expectError, freshDir } from '../data/fixtures.js'
import { tinyRecord } from '../experiment/sets.js'
import { elementsLeftOpen } from './elements.js'
import { sweepCells, sweepRecord } from './sweeps.js'

const page = (record = sweepRecord()): string => sweepPage({ record, classes: ['cat & "dog"', '<ship>'], reports: new Set() })

describe('the summary of a sweep', () => {
  const cells = sweepCells()

  it('takes means and intervals over the repetitions; runs on everything belong to every order', () => {
    const series = seriesOf(cells, ['convnet'])
    expect(series.map(({ order }) => order)).toEqual(['asc', 'desc'])
    expect(series.map(({ points }) => points.map((point) => point?.mean))).toEqual([
      [40.5, 46.5, 45.5],
      [30.5, 36.5, 45.5],
    ])
    // two numbers half a unit from their mean: 12.7062 * 0.5
    expect(series[0].points[0]?.interval).toEqual([expect.closeTo(40.5 - 6.3531, 4), expect.closeTo(40.5 + 6.3531, 4)])
    expect(everything(cells, ['convnet'])?.mean).toBe(45.5)
  })

  it('takes the mean of several networks run by run', () => {
    expect(seriesOf(cells, ['resnet18', 'vit'])[0].points[0]).toEqual({ mean: 33, interval: [33, 33], n: 2 })
  })

  it('takes the interval over networks where there is one repetition', () => {
    const one = cells.filter(({ repeat }) => repeat === 0)
    expect(seriesOf(one, ['resnet18'])[0].points[0]).toEqual({ mean: 35, interval: intervalOf([34, 36]), n: 1 })
    expect(seriesOf(one, ['convnet'])[0].points[0]).toEqual({ mean: 40, interval: null, n: 1 })
  })

  it('leaves out what was not run or not measured with every network', () => {
    const some = cells.filter(({ order, keep }) => order !== 'desc' || keep !== 0.1)
    expect(seriesOf(some, ['convnet'])[1].points[0]).toBeUndefined()
    expect(seriesOf(cells, ['convnet', 'alexnet'])[0].points).toEqual([undefined, undefined, undefined])
    expect(timeOf(cells, 'asc', 1)).toEqual({ distill: 60, evaluate: 5 })
    expect(timeOf(cells, 'asc', 0.7)).toBeUndefined()
  })
})

describe('the report of a sweep', () => {
  it('has curves with bands for each network and for the mean over the unseen, a table, classes and runs', () => {
    const html = page()
    for (const text of [
      'DM by share of images kept',
      '10 runs',
      'convnet, which the images were matched under',
      'resnet18, unseen',
      'Mean over the unseen networks: resnet18, vit',
      'All images: 45.5\u00a0% with convnet. asc reaches it, within its interval, at every share; desc stays below it at every share.',
      'Means over 2 distillations',
      'best of asc, convnet',
      '46.5\u00a0% with 40\u00a0%',
      '46.5 (40.1 to 52.9)',
      'cat &amp; &quot;dog&quot;',
    ])
      expect(html).toContain(text)
    // four accuracies of two orders, and the time without bands
    expect(html.match(/<svg class="chart"/g)).toHaveLength(5)
    expect(html.match(/<path class="band/g)).toHaveLength(8)
    expect(html.replace(/<script[\s\S]*?<\/script>/g, '')).not.toMatch(/NaN|Infinity|undefined/)
  })

  it('escapes what comes from files and closes every element', () => {
    const html = page()
    expect(html).not.toMatch(/<dir>|<ship>|<&>/)
    expect(elementsLeftOpen(html)).toEqual([])
  })

  it.each([
    ['no run', []],
    ['one run', sweepCells().slice(0, 1)],
    ['runs on everything alone', sweepCells().filter(({ order }) => order === 'all')],
    ['runs that were not measured', sweepCells({ accuracies: [] })],
    ['runs of which only a part was measured', sweepCells().map((cell, i) => (i % 3 === 0 ? { ...cell, accuracies: [] } : cell))],
  ])('does with %s', (_, cells) => {
    const html = page(sweepRecord({ status: 'running', cells }))
    expect(html).toContain(', more to come')
    expect(html.replace(/<script[\s\S]*?<\/script>/g, '')).not.toMatch(/NaN|Infinity|undefined/)
    expect(elementsLeftOpen(html)).toEqual([])
  })

  it('cuts bands that would flatten the curves', () => {
    const wide = sweepCells().map((cell) => ({
      ...cell,
      accuracies: cell.accuracies.map((one) => ({ ...one, mean: one.mean + 20 * cell.repeat })),
    }))
    const [, json] = /<script type="application\/json" id="x-data">(.*?)<\/script>/.exec(accuracyChart('x', wide, ['convnet'])) ?? []
    const { series } = JSON.parse(json)
    expect(Math.min(...series[0].low)).toBeGreaterThan(25)
    expect(Math.max(...series[0].high)).toBeLessThan(70)
  })

  it('reads a directory: links to reports that are there, class names from a run', async () => {
    const dir = freshDir()
    const record = sweepRecord({ cells: sweepCells().map((cell, i) => ({ ...cell, run: `runs/a b-${i}` })) })
    await writeSweep(dir, record)
    const { data, ...rest } = tinyRecord()
    const run = join(dir, 'runs/a b-1')
    mkdirSync(run, { recursive: true })
    await (await createRunDir(run, { ...rest, data: { ...data, classes: ['one', 'two'] } })).close()
    writeFileSync(join(run, 'report.html'), '')
    const html = readFileSync(await writeSweepReport(dir), 'utf8')
    expect(html.match(/<a href="[^"]*"/g)).toEqual(['<a href="./runs/a%20b-1/report.html"'])
    expect(html).toContain('<th scope="row">two</th>')
    await expectError(() => writeSweepReport(freshDir()), 'not_found', /sweep\.json/)
  })
})
