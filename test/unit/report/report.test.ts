/** @file The report: complete, self-contained, escaped, and readable for runs in every state. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type RealImages, writeRealImages } from '../../../src/experiment/real-images.js'
import { createRunDir, type EvaluationRecord, type LoggedEvent, type RunRecord } from '../../../src/experiment/run-dir.js'
import type { Checkpoint } from '../../../src/experiment/types.js'
import { collectReport } from '../../../src/report/collect.js'
import { accuracyCurve, lossCurve } from '../../../src/report/curves.js'
import { formatDuration, formatNumber } from '../../../src/report/html.js'
import { writeComparison, writeReport } from '../../../src/report/index.js'
import { thin, ticks } from '../../../src/report/line-chart.js'
import { expectError, freshDir } from '../data/fixtures.js'
import { decodePng } from '../experiment/decode-png.js'
import { tinyLearned, tinyRecord, tinySet } from '../experiment/sets.js'
import { elementsLeftOpen } from './elements.js'

const evaluations: EvaluationRecord[] = [
  {
    label: 'distilled',
    epochs: 300,
    results: [{ network: 'convnet', mean: 72.34, std: 0.91, n: 2, values: [71.4, 73.2], interval: [60.1, 84.6], perClass: [80, 64.7] }],
  },
  {
    label: 'random real images',
    epochs: 300,
    results: [{ network: 'convnet', mean: 41.2, std: 2, n: 2, values: [39.2, 43.2], interval: null, perClass: [30, null] }],
  },
]

async function reportOf(change: Partial<RunRecord>, events: LoggedEvent[], withSet = true, real?: RealImages): Promise<string> {
  const dir = freshDir()
  const run = await createRunDir(dir, { ...tinyRecord(), ...change })
  for (const event of events) await run.append(event)
  await run.close()
  if (withSet) await tinySet().save(dir)
  if (real) await writeRealImages(dir, real)
  return readFileSync(await writeReport(dir), 'utf8')
}

const steps = (count: number): LoggedEvent[] =>
  Array.from({ length: count }, (_, i) => ({
    type: 'step',
    step: i + 1,
    iterations: count,
    loss: 100 / (i + 1),
    seconds: i,
    imagesPerSecond: 10,
  }))

describe('writeReport', () => {
  it("sets the recipe's published figure beside the run's own, escaped", async () => {
    const recipe = { name: 'a<b', reported: { accuracy: 26, spread: 0.8, source: 'PAD & others' } }
    const html = await reportOf({ evaluations, recipe }, steps(2))
    expect(html).toContain('Recipe a&lt;b: the source reports 26.0 ± 0.8 % (PAD &amp; others) at its own budget.')
    expect(await reportOf({ evaluations }, steps(2))).not.toContain('the source reports')
  })

  it('shows accuracies, images, loss and settings without any outside resource', async () => {
    const done: LoggedEvent = { type: 'done', step: 50, iterations: 50, seconds: 65, stopped: false }
    const html = await reportOf({ evaluations }, [...steps(50), done])
    for (const text of ['72.3 ± 0.9', '41.2 ± 2.0', '50 steps, 1 min 5 s', 'imageLr', 'DM on tiny', '4 of 100'])
      expect(html).toContain(text)
    expect(html).not.toMatch(/<script[^>]* src|<link|@import|url\(|(?:src|href)="(?!data:)/)
    expect(html).toContain('prefers-color-scheme: dark')
    expect(html.match(/<img alt="2 synthetic images of class [^"]+, 4 by 3 pixels each"/g)).toHaveLength(2)
    for (const [, base64] of html.matchAll(/data:image\/png;base64,([^"]+)/g)) {
      expect(decodePng(new Uint8Array(Buffer.from(base64, 'base64')))).toMatchObject({ width: 9, height: 3, channels: 3 })
    }
  })

  it('sets what was trained alike beside each other: one table for each protocol, the distilled images first', async () => {
    const [distilled, random] = evaluations
    const herded = { ...random, label: 'herded & real', augment: null }
    const html = await reportOf({ evaluations: [random, herded, distilled, { ...distilled, epochs: 20 }] }, steps(2))
    const tables = html.split('<table class="accuracy">').slice(1)
    expect(tables).toHaveLength(2)
    const labels = (table: string) => [...table.split('</table>')[0].matchAll(/<th scope="row">([^<]*)</g)].map(([, label]) => label)
    expect(labels(tables[0])).toEqual(['distilled', 'random real images', 'herded &amp; real'])
    expect(labels(tables[1])).toEqual(['distilled'])
    expect(tables[1]).toContain('from scratch, protocol dc, 20 epochs')
  })

  it('says by which labels and at which rate networks were trained where a set has its own', async () => {
    const [distilled, random] = evaluations.map((entry) => ({ ...entry, protocol: 'trajectory' as const }))
    const trained = (entry: EvaluationRecord, labels: 'soft' | 'hard', learningRate: number, batch: number) => ({
      ...entry,
      results: entry.results.map((result) => ({ ...result, training: { protocol: 'trajectory' as const, labels, learningRate, batch } })),
    })
    const html = await reportOf({ evaluations: [trained(distilled, 'soft', 0.018312, 128), trained(random, 'hard', 0.01, 256)] }, steps(2))
    expect(html).toContain('<td>trajectory: soft labels, lr 0.01831, batch 128</td>')
    expect(html).toContain('<td>trajectory: hard labels, lr 0.01, batch 256</td>')
    expect(await reportOf({ evaluations }, steps(2))).toContain('<td>dc</td>')
  })

  it('shows what was learned beside the images: labels, the rate by step, and steps that were skipped', async () => {
    const events = (skips: (step: number) => boolean): LoggedEvent[] =>
      steps(40).map(
        (event, i) =>
          ({ ...event, skipped: skips(i + 1), learningRate: 0.01 + i / 1000, ...(i === 8 && { guarded: true }) }) as LoggedEvent,
      )
    const page = async (skips: (step: number) => boolean) => {
      const dir = freshDir()
      const record = tinyRecord()
      const run = await createRunDir(dir, { ...record, config: { ...record.config, threshold: 1.5 } })
      for (const event of events(skips)) await run.append(event)
      await run.close()
      // two images of each of two classes: probabilities 0.9, 0.6 of the first, 0.8, 0.3 of the second
      const logit = (p: number) => Math.log(p / (1 - p))
      await tinyLearned({ labelLogits: Float32Array.of(logit(0.9), 0, logit(0.6), 0, 0, logit(0.8), 0, logit(0.3)) }).save(dir)
      return readFileSync(await writeReport(dir), 'utf8')
    }
    const html = await page((step) => step % 4 === 3)
    expect(html).toContain('The learning rate goes from 0.01 after step 1 to 0.049 after step 40. At 1 of 40 steps it would have become 0')
    expect(html).toContain(
      '10 of 40 steps (25.0 %) had a loss above the threshold 1.5 and changed nothing, the first at step 3, the last at',
    )
    expect(html).toContain('<dt>learned rate</dt><dd>0.0125</dd>')
    expect(html).toContain('The labels give their own class 65 % on average, from 30 % to 90 %. 1 of 4 labels are mostly another class.')
    expect(html).toContain('<title>&lt;ship&gt;: cat &amp; &quot;dog&quot; 45 %</title>')
    expect(html).toContain('synthetic image 3, started from real image 4; label: cat &amp; ')
    expect(html).toContain('70 %, &lt;ship&gt; 30 %')
    expect(elementsLeftOpen(html)).toEqual([])
    expect(await page(() => false)).toContain('No step was skipped.')
    expect(await page(() => true)).toContain('the images are those that the run began with')
    const plain = await reportOf({}, steps(40))
    expect(plain).not.toMatch(/Learned|learned rate|Learning rate|skipped/)
  })

  it('shows some images at steps on the way, where checkpoints were taken', async () => {
    const dir = freshDir()
    const run = await createRunDir(dir, tinyRecord())
    for (const event of steps(30)) await run.append(event)
    const state = (step: number): Checkpoint => ({
      ...{ config: { method: 'dm', ipc: 2, seed: 5 }, plans: {}, counters: { step }, seconds: step },
      data: { classes: ['cat & "dog"', '<ship>'], mean: [0.5, 0.4, 0.3], std: [0.25, 0.2, 0.1], flip: true },
      tensors: { images: { dtype: 'f32', shape: [4, 3, 4, 3], data: new Float32Array(144).fill(step / 100) } },
    })
    for (const step of [1, 20, 30]) await run.checkpoints.save(state(step))
    await run.append({ type: 'done', step: 30, iterations: 30, seconds: 9, stopped: false })
    await run.close()
    await tinySet().save(dir)
    const html = readFileSync(await writeReport(dir), 'utf8')
    expect([...html.matchAll(/<figcaption>(after [^<]*)</g)].map(([, name]) => name)).toEqual([
      'after 1 step',
      'after 20 steps',
      'after 30 steps',
    ])
    expect(html).toContain('alt="2 synthetic images after 20 steps, 4 by 3 pixels each"')
    expect(html).toContain('synthetic image 2, &lt;ship&gt;, after 30 steps')
    expect(elementsLeftOpen(html)).toEqual([])
    expect(await reportOf({}, steps(30))).not.toContain('Images over steps')
  })

  it('escapes everything that comes from files', async () => {
    const html = await reportOf({ status: 'failed', error: '<b>&' }, [])
    expect(html).toContain('cat &amp; &quot;dog&quot;')
    expect(html).toContain('&lt;ship&gt;')
    expect(html).toContain('mnist:&lt;dir&gt;')
    expect(html).toContain('&lt;b&gt;&amp;')
    expect(html).not.toMatch(/<ship>|<b>/)
  })

  it('has every element closed', async () => {
    const html = await reportOf({ evaluations }, steps(3))
    expect(elementsLeftOpen(html)).toEqual([])
  })

  it('shows what it can of images with more channels than a picture has', async () => {
    const dir = freshDir()
    await (await createRunDir(dir, tinyRecord())).close()
    const [channels, mean, std] = [2, [0.5, 0.5], [0.25, 0.25]]
    await tinySet({ images: new Float32Array(4 * 3 * 4 * channels), shape: [4, 3, 4, channels], mean, std }).save(dir)
    const html = readFileSync(await writeReport(dir), 'utf8')
    expect(html).toContain('<p>The first channel, as gray, of 2.</p>')
    expect(html.match(/<img alt="2 synthetic images/g)).toHaveLength(2)
  })

  it('does without images, steps and accuracies', async () => {
    const html = await reportOf({ status: 'failed' }, [], false)
    for (const text of ['failed', 'No images were saved', 'No loss curve', 'No evaluation']) expect(html).toContain(text)
  })

  it('tells a run that goes on from one whose process is gone', async () => {
    const dir = freshDir()
    const run = await createRunDir(dir, { ...tinyRecord(), status: 'running' })
    expect(readFileSync(await writeReport(dir), 'utf8')).toContain('still running')
    await run.close()
    expect(readFileSync(await writeReport(dir), 'utf8')).toContain('interrupted before its last step')
  })

  it('draws the steps that led to the end, without those that the run went back from', async () => {
    const dir = freshDir()
    const run = await createRunDir(dir, tinyRecord())
    const again = steps(4).slice(2)
    for (const event of [...steps(4), { type: 'rollback', to: 2, rollbacks: 1, imageLr: 0.05, reason: 'NaN' } as const, ...again])
      await run.append(event)
    await run.close()
    expect((await collectReport(dir)).steps.map(({ step }) => step)).toEqual([1, 2, 3, 4])
  })

  it('does without images that a kill left half replaced', async () => {
    const dir = freshDir()
    await (await createRunDir(dir, { ...tinyRecord(), status: 'running', artifact: null })).close()
    await tinySet().save(dir)
    writeFileSync(`${dir}/data.safetensors`, 'of another end')
    expect(readFileSync(await writeReport(dir), 'utf8')).toContain('No images were saved')
  })

  it('refuses a set that the run has not saved', async () => {
    const dir = freshDir()
    const run = await createRunDir(dir, { ...tinyRecord(), artifact: { manifestSha256: 'ab'.repeat(32) } })
    await run.close()
    await tinySet().save(dir)
    await expectError(() => writeReport(dir), 'invalid_data', /manifest\.json: expected the set that run\.json names/)
  })

  it('shows intervals, classes, time, memory and the commands', async () => {
    const phases = [{ name: 'distill', seconds: 65, peakBytes: 2.5e8 }]
    const commands = ['aludel distill --data mnist:dir', "aludel evaluate 'a run'"]
    const html = await reportOf({ evaluations, phases, commands }, steps(3))
    for (const text of ['60.1 to 84.6', '<td class="number">64.7</td>', '250 MB', '1 min 5 s', 'aludel evaluate &#39;a run&#39;'])
      expect(html).toContain(text)
  })

  it('shows the nearest real images where the run has them', async () => {
    const image = (shade: number) => new Uint8Array(4 * 3 * 3).fill(shade)
    const images = new Uint8Array(4 * 36)
    const real: RealImages = {
      rows: Int32Array.of(9, 8, 7, 6),
      distances: Float64Array.of(0.31, 0.1234, 0.5, 0.42),
      nearest: images,
      samples: image(7),
      sampleLabels: Int32Array.of(1),
    }
    const html = await reportOf({}, steps(3), true, real)
    expect(html).toContain('image 1: 0.1234 from real image 8')
    expect(html).toContain('The median distance is 0.310')
    expect(html).toContain('1 real image of class &lt;ship&gt;')
    expect(html).toContain('synthetic image 0, started from real image 7; nearest real image 9 at 0.310')
    const cut = reportOf({}, steps(3), true, { ...real, nearest: images.subarray(1) })
    await expectError(() => cut, 'invalid_data', /real\.safetensors: tensor 'nearest'/)
  })

  it('compares runs: accuracies, what they reached, settings that differ', async () => {
    const dirs: string[] = []
    for (const ipc of [1, 2]) {
      const dir = freshDir()
      const record = { ...tinyRecord(), evaluations: ipc === 1 ? evaluations : evaluations.slice(1) }
      const run = await createRunDir(dir, { ...record, config: { ...record.config, ipc } })
      await run.close()
      await tinySet().save(dir)
      dirs.push(dir)
    }
    const path = `${freshDir()}/comparison.html`
    expect(await writeComparison(dirs, path)).toBe(path)
    const html = readFileSync(path, 'utf8')
    expect(html).toContain(
      '<th scope="row">convnet on distilled, 300 epochs</th><td class="number">72.3 ± 0.9</td><td class="number">–</td>',
    )
    expect(html).toContain('<th scope="row">ipc</th><td class="number">1</td><td class="number">2</td>')
    expect(html).not.toContain('<th scope="row">seed</th>')
    expect(html).not.toContain('other test images')
    await expectError(() => writeComparison([...dirs, freshDir()], path), 'not_found', /run\.json/)
  })

  it('says which of the compared runs are of other data', async () => {
    const dirs = await Promise.all(
      ['tiny', 'small <set>'].map(async (name, i) => {
        const dir = join(freshDir(), `run-${i}`)
        const record = tinyRecord()
        await (await createRunDir(dir, { ...record, data: { ...record.data, name } })).close()
        await tinySet().save(dir)
        return dir
      }),
    )
    const path = await writeComparison(dirs, `${freshDir()}/comparison.html`)
    expect(readFileSync(path, 'utf8')).toContain('Made of other data than run-0: run-1. Their accuracies are those of other test images.')
  })

  it('refuses a directory that holds no run', async () => {
    const dir = freshDir()
    await expectError(() => writeReport(dir), 'not_found', /run\.json/)
    expect(existsSync(`${dir}/report.html`)).toBe(false)
  })
})

describe('the accuracy curve', () => {
  const result = (network: string, mean: number) => ({ network, mean, std: 1, n: 2, values: [mean], interval: null, perClass: [mean] })
  const at = (steps: number, means: Record<string, number>, epochs: number | null = 300) => ({
    ...{ label: 'distilled', epochs, augment: null, steps },
    results: Object.entries(means).map(([network, mean]) => result(network, mean)),
  })

  it('joins what was measured after several numbers of steps, network by network', () => {
    const html = accuracyCurve({
      earlier: [at(100, { convnet: 20, mlp: 15 }), at(300, { convnet: 24 })],
      evaluations: [at(1000, { convnet: 26.5, mlp: 18 }), { ...at(1000, { convnet: 11 }), label: 'random', steps: undefined } as never],
    })
    expect(html).toContain('after 100, 300, 1000 steps: convnet 20.0, 24.0, 26.5; mlp 15.0, –, 18.0.')
    expect(html.match(/class="mark"/g)).toHaveLength(5)
    expect(html).toContain('"values":[15,null,18]')
  })

  it('leaves out what was trained otherwise, and needs two numbers of steps', () => {
    expect(accuracyCurve({ evaluations: [at(100, { convnet: 20 })] })).toBe('')
    expect(accuracyCurve({ earlier: [at(10, { convnet: 9 }, 20)], evaluations: [at(100, { convnet: 20 })] })).toBe('')
    expect(accuracyCurve({ evaluations: [] })).toBe('')
  })
})

describe('the loss curve', () => {
  const points = (count: number, loss: (i: number) => number) => Array.from({ length: count }, (_, i) => ({ step: i + 1, loss: loss(i) }))

  it('thins long runs by means', () => {
    const thinned = thin(
      points(1000, (i) => i),
      10,
    )
    expect(thinned).toHaveLength(10)
    expect(thinned[0]).toEqual({ step: 100, loss: 49.5 })
    expect(
      thin(
        points(5, (i) => i),
        10,
      ),
    ).toHaveLength(5)
  })

  it.each([
    ['a flat loss', points(3, () => 2)],
    ['a negative loss', points(30, (i) => -i)],
    ['a loss over many orders of magnitude', points(2000, (i) => 1e6 / (i + 1) ** 2)],
  ])('draws %s with finite numbers', (_, series) => {
    const svg = lossCurve(series)
    expect(svg).toMatch(/<path class="line" d="M/)
    expect(svg).not.toMatch(/NaN|Infinity|undefined/)
  })

  it('has round ticks inside the range', () => {
    expect(ticks(0, 10)).toEqual([0, 2, 4, 6, 8, 10])
    expect(ticks(0.13, 0.52)).toEqual([0.2, 0.3, 0.4, 0.5])
    expect(ticks(3, 3)).toEqual([3])
  })
})

it('formats numbers and durations', () => {
  expect([1234567, 0.00012344, 12.3456, Number.NaN].map((value) => formatNumber(value))).toEqual(['1234567', '0.0001234', '12.35', 'NaN'])
  expect([0.04, 59, 61, 3725, Number.NaN].map(formatDuration)).toEqual(['0.0 s', '59.0 s', '1 min 1 s', '1 h 2 min', '–'])
})
