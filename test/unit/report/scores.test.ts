/** @file The report of scores: histograms by class, what a subset keeps, easiest and hardest images, agreement; escaped and complete. */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { datasetStream, type ImageStream } from '../../../src/data/image-stream.js'
import { binsOf, binTicks, countIn, placeOf } from '../../../src/report/bins.js'
import { classShares } from '../../../src/report/class-shares.js'
import { collectScores } from '../../../src/report/collect-scores.js'
import { histogram, topShare } from '../../../src/report/histogram.js'
import { shortNumber } from '../../../src/report/html.js'
import { writeScoreReport } from '../../../src/report/index.js'
import { thumbnails } from '../../../src/report/pictures.js'
import { correlation, quantile, ranks, sorted } from '../../../src/report/statistics.js'
import { expectError } from '../data/fixtures.js'
import { elementsLeftOpen } from './elements.js'
import { losses, scoredDataset, writeScoresDir, writeSubsetOf } from './scores-dir.js'

const dataset = scoredDataset()
const data = datasetStream(dataset)
const page = async (options: Parameters<typeof writeScoreReport>[1] = {}, dir?: string): Promise<string> =>
  readFileSync(await writeScoreReport(dir ?? (await writeScoresDir(dataset)), options), 'utf8')

/** Without what is no text of the page. */
const shownText = (html: string): string => html.replace(/<script[\s\S]*?<\/script>|base64,[^"]*/g, '')

describe('the report of scores', () => {
  it('has a histogram of all images and of each class, quantiles, accuracies and what made them', async () => {
    const html = await page({ data })
    for (const text of [
      'Scores of dots &amp; &lt;lines&gt;',
      '60 in 3 classes',
      '71.0 %',
      '1 min 15 s',
      'convnet',
      '75.3',
      'on a logarithmic scale',
    ])
      expect(html).toContain(text)
    // two kinds: all images in two sizes and three classes
    expect(html.match(/class="chart histogram small"/g)).toHaveLength(6)
    expect(html.match(/class="chart histogram (large|medium)"/g)).toHaveLength(4)
    expect(shownText(html)).not.toMatch(/NaN|Infinity|undefined/)
    expect(html).not.toMatch(/<script[^>]* src|<link|@import|(?:src|href)="(?!data:)/)
  })

  it('escapes what comes from files and closes every element', async () => {
    const html = await page({ data, subset: await writeSubsetOf(dataset) })
    expect(html).not.toMatch(/<ship>|<lines>|<few>|<runs>/)
    expect(elementsLeftOpen(html)).toEqual([])
  })

  it('shows the easiest and hardest images of each class with their scores', async () => {
    const dir = await writeScoresDir(dataset)
    const { extremes, pictures } = await collectScores(dir, { data })
    const [{ kind, classes }] = extremes
    expect(kind).toBe('loss')
    expect(classes[1]).toEqual({ easiest: [1, 4, 7, 10, 13, 16], hardest: [58, 55, 52, 49, 46, 43] })
    const place = pictures?.place.get(58) ?? -1
    expect(pictures?.images.subarray(place * 72, (place + 1) * 72)).toEqual(dataset.images.subarray(58 * 72, 59 * 72))
    const html = await page({ data }, dir)
    expect(html).toContain(`image 58: loss ${shortNumber(losses[58])}`)
    expect(html).toContain('6 hardest images of class &lt;ship&gt; by loss, 4 by 6 pixels each')
  })

  it('does without the data, and says so', async () => {
    const html = await page()
    expect(html).toContain('The data was not looked at')
    expect(html).not.toContain('histogram small')
    expect(html).not.toContain('Easiest and hardest')
  })

  it('says how kinds agree', async () => {
    const html = await page({ data })
    const expected = correlation(ranks(losses), ranks(Float64Array.from({ length: 60 }, (_, i) => Math.floor(i / 3) % 5))) ?? 0
    expect(html).toContain(`>${expected.toFixed(2).replace('-', '−')}</td>`)
  })

  it('lists images that could not be read', async () => {
    const html = await page({ data }, await writeScoresDir(dataset, { unreadable: [{ row: 4, path: 'a<b.jpg', reason: 'cut short' }] }))
    expect(html).toContain('1 image that could not be read')
    expect(html).toContain('a&lt;b.jpg')
  })

  it('reads only the files that are shown, past those that could not be read', async () => {
    const { sha256: _, ...memory } = data
    // three files more than rows, the first of each class
    const labels = Int32Array.from([0, 1, 2, ...dataset.labels])
    const asked: number[] = []
    const files: ImageStream = {
      ...memory,
      labels,
      names: Array.from(labels, (_label, i) => `${i}.jpg`),
      async *read({ blocks }) {
        for (const block of blocks) {
          asked.push(block.first)
          yield* data.read({ blocks: [{ ...block, first: block.first - 3 }] })
        }
      },
    }
    const unreadable = [0, 1, 2].map((row) => ({ row, path: `${row}.jpg`, reason: 'cut short' }))
    const dir = await writeScoresDir(dataset, { unreadable })
    const { pictures } = await collectScores(dir, { data: files })
    const place = pictures?.place.get(58) ?? -1
    expect(pictures?.images.subarray(place * 72, (place + 1) * 72)).toEqual(dataset.images.subarray(58 * 72, 59 * 72))
    expect(asked).toContain(61)
    expect(asked.length).toBeLessThan(60)
    await expectError(
      () => collectScores(dir, { data: { ...files, labels: labels.subarray(1) } }),
      'incompatible',
      /59 images in 3 classes/,
    )
  })

  it('shows what a subset keeps, and whether a class is harmed', async () => {
    const fair = await page({ data, subset: await writeSubsetOf(dataset) })
    expect(fair).toContain('Every class keeps the same share of its images, 20.0\u00a0%')
    expect(fair.match(/class="bars left-out"/g)).toHaveLength(10)
    expect(fair.match(/class="reach"/g)).toHaveLength(5)
    expect(fair).toContain(', not kept')
    const unfair = await page({ data, subset: await writeSubsetOf(dataset, { scope: 'global' }) })
    expect(unfair).toContain(
      'Classes do not keep alike: &lt;ship&gt; keeps 5.0\u00a0% of its images, cat &amp; &quot;dog&quot; 60.0\u00a0%',
    )
    expect(unfair).toContain('<td class="number">12 of 20</td>')
    expect(unfair).toContain('Raised to the minimum of a class')
  })

  it('marks no range for a subset that another score or chance has chosen', async () => {
    const html = await page({ data, subset: await writeSubsetOf(dataset, { order: 'random', scores: undefined } as object) })
    expect(html).toContain('drawn at random')
    expect(html).not.toContain('class="reach"')
  })

  it('refuses other data, a subset of other data, and damaged scores', async () => {
    const other = scoredDataset({ flip: false, images: new Uint8Array(60 * 72) })
    const dir = await writeScoresDir(dataset)
    await expectError(() => writeScoreReport(dir, { data: datasetStream(other) }), 'incompatible', /report/)
    const subset = await writeSubsetOf(other)
    await expectError(() => writeScoreReport(dir, { data, subset }), 'incompatible', /subset of the data that was scored/)
    await expectError(() => writeScoreReport(`${dir}/nowhere`), 'not_found', /scores\.json/)
  })

  it('says what is missing while scores are not all there', async () => {
    const html = await page(
      { data },
      await writeScoresDir(dataset, { status: 'running', accuracies: [], perClass: null, kinds: ['loss', 'el2n'] }),
    )
    expect(html).toContain('not all scores are there yet')
    expect(html).not.toContain('Accuracy of what scored')
  })
})

describe('class shares', () => {
  const subset = { classes: ['a', 'b'], raised: [] }

  it('are counts alone where nobody knows what there was', () => {
    expect(classShares({ subset: { ...subset, counts: [3, 1] }, totals: undefined })).toContain(
      'does not say how many images each class had',
    )
  })

  it('call whole numbers of small classes alike', () => {
    const html = classShares({ subset: { ...subset, counts: [2, 1] }, totals: [11, 9] })
    expect(html).toContain('Every class keeps the same share')
  })

  it('leave out classes without images', () => {
    expect(classShares({ subset: { ...subset, counts: [2, 0] }, totals: [4, 0] })).not.toMatch(/NaN|>b</)
  })
})

describe('bins', () => {
  it('count every value once, whatever the scores', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e12, max: 1e12 }), { minLength: 1 }), (values) => {
        const bins = binsOf(sorted(values))
        const counts = countIn(bins, values, values.keys())
        expect(counts.reduce((a, b) => a + b, 0)).toBe(values.length)
        expect(bins.high).toBeGreaterThan(bins.low)
        for (const tick of binTicks(bins, 5)) expect(Number.isFinite(placeOf(bins, tick))).toBe(true)
        const svg = histogram({
          bins,
          counts,
          median: quantile(sorted(values), 0.5),
          top: topShare(bins, [counts]),
          size: 'large',
          text: '',
        })
        expect(svg).not.toMatch(/NaN|Infinity|undefined/)
      }),
    )
  })

  it('give whole numbers a bin each', () => {
    expect(binsOf(sorted([0, 3, 1, 0]))).toMatchObject({ low: -0.5, high: 3.5, count: 4, logarithmic: false })
  })

  it('are logarithmic where scores reach over orders of magnitude, and hold zeros in the first', () => {
    const values = [0, ...Array.from({ length: 100 }, (_, i) => 10 ** (i / 20 - 4))]
    const bins = binsOf(sorted(values))
    expect(bins).toMatchObject({ logarithmic: true, openLow: true })
    expect(countIn(bins, values, [0])[0]).toBe(1)
    expect(binTicks(bins, 10)).toEqual([1e-3, 1e-2, 0.1, 1].map((value) => expect.closeTo(value, 12)))
  })

  it('do not let one sample far away press all others together', () => {
    const bins = binsOf(sorted([...Array.from({ length: 5000 }, (_, i) => i / 5000 - 0.5), 1e6]))
    expect(bins.openHigh).toBe(true)
    expect(bins.high).toBeLessThan(1)
  })
})

describe('statistics', () => {
  it('rank equal values alike', () => expect([...ranks([3, 1, 3, 2])]).toEqual([3.5, 1, 3.5, 2]))

  it('correlate', () => {
    expect(correlation([1, 2, 3], [2, 4, 6])).toBeCloseTo(1, 12)
    expect(correlation([1, 2, 3], [3, 2, 1])).toBeCloseTo(-1, 12)
    expect(correlation([1, 1, 1], [3, 2, 1])).toBeNull()
  })

  it('take quantiles between values', () => expect(quantile([0, 10, 20], 0.25)).toBe(5))
})

it('shrinks large images by means of squares', () => {
  const images = Uint8Array.from({ length: 200 * 100 }, (_, i) => (i % 2 === 0 ? 10 : 20))
  const { shape, images: small } = thumbnails(images, [1, 200, 100, 1])
  expect(shape).toEqual([1, 50, 25, 1])
  expect([...new Set(small)].every((value) => value === 15)).toBe(true)
  expect(thumbnails(images, [2, 10, 10, 100]).images).toBe(images)
})

it('shortens numbers', () =>
  expect([0, 0.0123456, 12.345, 1.234e-5, 3e6, -4.44e-7].map(shortNumber)).toEqual(['0', '0.0123', '12.3', '1.2e-5', '3e6', '-4.4e-7']))
