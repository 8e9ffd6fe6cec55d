/** @file The report in a real browser: no errors, nothing loaded, readable on a phone and in the dark, chart and enlarged images alive. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { datasetStream } from '../../../src/data/image-stream.js'
import { writeRealImages } from '../../../src/experiment/real-images.js'
import { createRunDir } from '../../../src/experiment/run-dir.js'
import { writeReport, writeScoreReport } from '../../../src/report/index.js'
import { sweepPage } from '../../../src/report/sweep-page.js'
import { freshDir } from '../data/fixtures.js'
import { tinyRecord, tinySet } from '../experiment/sets.js'
import { scoredDataset, writeScoresDir, writeSubsetOf } from './scores-dir.js'
import { sweepRecord } from './sweeps.js'

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path))
if (!executablePath) console.log('the report was not opened in a browser: no chromium here (Debian: apt-get install chromium)')

async function writeRun(): Promise<string> {
  const dir = freshDir()
  const network = { network: 'convnet', mean: 70, std: 1, n: 3, values: [69, 70, 71], interval: [67.5, 72.5], perClass: [60, 80] } as const
  const run = await createRunDir(dir, { ...tinyRecord(), evaluations: [{ label: 'distilled', epochs: 300, results: [network] }] })
  for (let step = 1; step <= 40; step++)
    await run.append({ type: 'step', step, iterations: 40, loss: 1000 / step ** 2, seconds: step, imagesPerSecond: 1 })
  await run.close()
  await tinySet().save(dir)
  const pixels = 4 * 36
  await writeRealImages(dir, {
    rows: Int32Array.of(3, 2, 1, 0),
    distances: Float64Array.of(0.1, 0.2, 0.3, 0.4),
    nearest: new Uint8Array(pixels).fill(90),
    samples: new Uint8Array(pixels).fill(200),
    sampleLabels: Int32Array.of(0, 0, 1, 1),
  })
  return pathToFileURL(await writeReport(dir)).href
}

async function writeScoresPage(): Promise<string> {
  const data = scoredDataset()
  return pathToFileURL(await writeScoreReport(await writeScoresDir(data), { data: datasetStream(data), subset: await writeSubsetOf(data) }))
    .href
}

function writeSweepPage(): string {
  const path = join(freshDir(), 'report.html')
  writeFileSync(path, sweepPage({ record: sweepRecord(), classes: [], reports: new Set() }))
  return pathToFileURL(path).href
}

const desk: BrowserContextOptions = { viewport: { width: 1280, height: 900 } }
const phone: BrowserContextOptions = { viewport: { width: 375, height: 700 }, isMobile: true, hasTouch: true }

describe.skipIf(!executablePath)('the report in a browser', () => {
  let browser: Browser
  let url: string
  let scores: string
  beforeAll(async () => {
    browser = await chromium.launch({ ...(executablePath && { executablePath }), args: ['--no-sandbox'] })
    url = await writeRun()
    scores = await writeScoresPage()
  })
  afterAll(() => browser?.close())

  /** Opens the page and fails on any error, or any request but for the page itself. */
  async function open(options: BrowserContextOptions, check: (page: Page) => Promise<void>, address = url): Promise<void> {
    const page = await browser.newPage(options)
    const problems: string[] = []
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()))
    page.on('pageerror', (error) => problems.push(error.message))
    page.on('request', (request) => {
      if (request.url() !== address && !request.url().startsWith('data:')) problems.push(request.url())
    })
    await page.goto(address)
    await check(page)
    expect(problems).toEqual([])
    await page.close()
  }

  /** Of the page's background, 0 to 255. */
  const luminance = async (page: Page) => {
    const colour = await page.evaluate<string>('getComputedStyle(document.body).backgroundColor')
    const [r, g, b] = (colour.match(/\d+/g) ?? []).map(Number)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }

  it.each([
    ['a desk', desk],
    ['a phone', phone],
  ])('fits the screen of %s and draws the curve', async (_, options) => {
    await open(options, async (page) => {
      expect(await page.evaluate('document.documentElement.scrollWidth <= document.documentElement.clientWidth')).toBe(true)
      expect(await page.locator('#loss canvas').count()).toBe(1)
      const painted = await page.evaluate(`(() => {
        const canvas = document.querySelector('#loss canvas')
        return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0)
      })()`)
      expect(painted).toBe(true)
    })
  })

  it('is light in the light and dark in the dark', async () => {
    await open({ colorScheme: 'light' }, async (page) => expect(await luminance(page)).toBeGreaterThan(200))
    await open({ colorScheme: 'dark' }, async (page) => expect(await luminance(page)).toBeLessThan(60))
  })

  it('enlarges an image with what is known of it, by mouse and by keyboard', async () => {
    await open({}, async (page) => {
      const button = page.locator('.zoom').first()
      await button.click({ position: { x: 4, y: 4 } })
      const dialog = page.locator('#enlarged')
      await expect.poll(() => dialog.isVisible()).toBe(true)
      expect(await dialog.locator('p').textContent()).toBe('synthetic image 0, started from real image 7; nearest real image 3 at 0.100')
      await page.keyboard.press('Escape')
      await expect.poll(() => dialog.isVisible()).toBe(false)
      await button.focus()
      await page.keyboard.press('Enter')
      await expect.poll(() => dialog.isVisible()).toBe(true)
    })
  })

  it('is complete without scripts', async () => {
    await open({ javaScriptEnabled: false }, async (page) => {
      expect(await page.locator('svg.chart').isVisible()).toBe(true)
      expect(await page.locator('.class img').count()).toBe(6)
    })
  })

  it.each([
    ['a desk', desk, 5, 'large'],
    ['a phone', phone, 2, 'medium'],
  ] as const)('shows scores on %s: histograms beside each other, large enough to read', async (_, options, columns, size) => {
    const check = async (page: Page) => {
      expect(await page.evaluate('document.documentElement.scrollWidth <= document.documentElement.clientWidth')).toBe(true)
      expect(await page.locator(`.histogram.${size}`).first().isVisible()).toBe(true)
      const style = await page.evaluate<string>("getComputedStyle(document.querySelector('.multiples')).gridTemplateColumns")
      expect(style.split(' ')).toHaveLength(columns)
      // text of an SVG shrinks with it
      const smallest = await page.evaluate<number>(`Math.min(...[...document.querySelectorAll('.histogram text')]
        .filter((text) => text.getBoundingClientRect().width > 0).map((text) => text.getBoundingClientRect().height))`)
      expect(smallest).toBeGreaterThan(9)
    }
    await open(options, check, scores)
  })

  it('enlarges an easy image with its score', async () => {
    const check = async (page: Page) => {
      await page
        .locator('.zoom')
        .first()
        .click({ position: { x: 4, y: 4 } })
      await expect.poll(() => page.locator('#enlarged').isVisible()).toBe(true)
      expect(await page.locator('#enlarged p').textContent()).toBe('image 0: loss 0.001, kept')
    }
    await open({}, check, scores)
  })

  it.each([
    ['a desk', desk],
    ['a phone', phone],
  ])('draws the curves of a sweep with their bands on %s', async (_, options) => {
    const address = writeSweepPage()
    const check = async (page: Page) => {
      expect(await page.evaluate('document.documentElement.scrollWidth <= document.documentElement.clientWidth')).toBe(true)
      expect(await page.locator('.live canvas').count()).toBe(5)
      // bands are areas: far more is painted than curves alone would
      const share = (id: string) =>
        page.evaluate<number>(`(() => {
        const canvas = document.querySelector('#${id} canvas')
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
        return data.filter((value, i) => i % 4 === 3 && value > 0).length / (data.length / 4)
      })()`)
      expect(await share('sweep-0')).toBeGreaterThan(2 * (await share('sweep-time')))
    }
    await open(options, check, address)
  })
})
