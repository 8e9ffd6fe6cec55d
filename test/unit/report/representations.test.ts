/** @file What a report shows of a run without labels: transfer beside its baselines, and how its targets cover real images. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type RepresentationSample, representationsFile, writeRepresentationSample } from '../../../src/experiment/representation-sample.js'
import { createRepresentationSet, type RepresentationSet } from '../../../src/experiment/representation-set.js'
import { createRunDir } from '../../../src/experiment/run-dir.js'
import { coverageOf, neighboursFor } from '../../../src/report/coverage.js'
import { writeReport } from '../../../src/report/index.js'
import { openCells, setHash, type TransferCell } from '../../../src/transfer/cells.js'
import { expectError, freshDir } from '../data/fixtures.js'
import { tinyRecord } from '../experiment/sets.js'
import { elementsLeftOpen } from './elements.js'

const dim = 3
const rows = (count: number, value: (row: number, d: number) => number): Float32Array =>
  Float32Array.from({ length: count * dim }, (_, i) => value(Math.floor(i / dim), i % dim))

const set = (targets = rows(4, (row, d) => (d === 0 ? 10 * row : 0))): RepresentationSet =>
  createRepresentationSet({
    images: Float32Array.from({ length: 4 * 12 }, (_, i) => (i % 7) / 7),
    shape: [4, 2, 2, 3],
    ...{ targets, dim, mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2], initSpace: 'raw' },
    teacher: { name: 'a & b', objective: 'none', dim, sha256: 'ab' },
    targetStatistics: { mean: new Float32Array(dim), std: new Float32Array(dim).fill(1) },
    source: { name: 'tiny', split: 'train', sha256: 'ab'.repeat(32) },
    config: { method: 'krr-st', n: 4, seed: 1 },
  })

interface Beside {
  readonly cells?: readonly TransferCell[]
  readonly sample?: RepresentationSample
}

async function runOf({ cells = [], sample }: Beside): Promise<string> {
  const dir = freshDir()
  const run = await createRunDir(dir, { ...tinyRecord(), config: { method: 'krr-st', n: 4 }, representations: { method: 'krr-st', n: 4 } })
  await run.close()
  await set().save(dir)
  const store = cells.length > 0 ? await openCells(dir) : undefined
  for (const cell of cells) await store?.add(cell)
  if (sample) await writeRepresentationSample(dir, sample)
  return dir
}
const pageOf = async (beside: Beside): Promise<string> => {
  const html = readFileSync(await writeReport(await runOf(beside)), 'utf8')
  expect(elementsLeftOpen(html)).toEqual([])
  expect(html).not.toMatch(/<script[^>]* src|<link|@import|url\(|(?:src|href)="(?!data:)/)
  return html
}

const ownHash = await setHash(set())
let keys = 0
const cellsOf = (source: TransferCell['source'], accuracies: readonly number[], more: Partial<TransferCell> = {}): TransferCell[] =>
  accuracies.map((accuracy, repeat) => ({
    ...{ network: 'conv-bn', source, target: 'a<b', protocol: 'linear', repeat, accuracy, pretrainLoss: 0.1 },
    ...{ labelled: 10, seconds: 1, key: String(keys++), set: ownHash, setup: 's', ...more },
  }))

describe('the transfer table', () => {
  it('has every source with mean, deviation and interval, the best in bold, and the paired difference to random real images', async () => {
    const html = await pageOf({
      cells: [...cellsOf('distilled', [50, 52, 54]), ...cellsOf('none', [40, 41]), ...cellsOf('random', [45, 47, 48])],
    })
    expect(html).toContain('<h2>Transfer</h2>')
    expect(html).toContain('<th scope="row">a&lt;b</th><td>linear</td><td>conv-bn</td>')
    expect(html).toContain('<strong>52.0 ± 1.6</strong><br>47.0 to 57.0, n = 3')
    expect(html).toContain('>40.5 ± 0.5<br>')
    // differences 5, 5, 6: mean 5.33, margin 4.3027 / 3
    expect(html).toContain('+5.3<br>+3.9 to +6.8')
    expect(html).toContain(
      'The distilled set beat random real images with the teacher’s targets in 1 of 1 comparison. On average it is 5.3 points above them.',
    )
  })

  it('says of a loss, of what cannot be told apart, and of what was never compared', async () => {
    const lost = await pageOf({ cells: [...cellsOf('distilled', [40, 41, 42]), ...cellsOf('random', [50, 51, 53])] })
    expect(lost).toContain('The distilled set lost to random real images with the teacher’s targets in 1 of 1 comparison.')
    expect(lost).toContain('10.3 points below')
    const open = await pageOf({ cells: [...cellsOf('distilled', [51]), ...cellsOf('random', [50])] })
    expect(open).toContain(
      'The distilled set could not be told apart from random real images with the teacher’s targets. On average it is 1.0 points above',
    )
    expect(open).toContain('One repetition has no interval')
    const mixed = await pageOf({
      cells: [
        ...[...cellsOf('distilled', [60, 61]), ...cellsOf('random', [50, 51])],
        ...[...cellsOf('distilled', [50, 90], { network: 'mlp' }), ...cellsOf('random', [60, 50], { network: 'mlp' })],
      ],
    })
    expect(mixed).toContain('beat random real images with the teacher’s targets in 1 of 2 comparisons; 1 could not be told apart.')
    expect(await pageOf({ cells: cellsOf('distilled', [50, 51]) })).toContain('was not measured: aludel transfer')
    expect(await pageOf({})).not.toContain('<h2>Transfer</h2>')
  })

  it('leaves out what was measured of an earlier set or by other settings', async () => {
    const html = await pageOf({
      cells: [
        ...cellsOf('distilled', [10, 11, 12, 13], { setup: 'before' }),
        ...cellsOf('distilled', [99], { set: 'another' }),
        ...cellsOf('distilled', [50, 52]),
      ],
    })
    expect(html).toContain('<strong>51.0 ± 1.0</strong>')
    expect(html).toContain('Not shown: measurements 1 of an earlier set of this run and 4 of other settings.')
  })

  it('leaves out other pretraining, beside which a network that was not pretrained stays', async () => {
    const html = await pageOf({
      cells: [
        ...cellsOf('none', [40, 42]),
        ...cellsOf('distilled', [10, 12], { pretraining: 'long' }),
        ...cellsOf('distilled', [50, 52], { pretraining: 'short' }),
      ],
    })
    expect(html).toContain('>41.0 ± 1.0<br>')
    expect(html).toContain('<strong>51.0 ± 1.0</strong>')
    expect(html).toContain('Not shown: measurements 2 of other settings.')
  })
})

describe('feature coverage', () => {
  // a line of real rows at 0, 1, .. 99
  const real = rows(100, (row, d) => (d === 0 ? row : 0))

  it('counts real rows that a row of the set is near to, beside what as many real rows would cover', () => {
    expect(neighboursFor(100, 2000)).toBe(Math.ceil(2000 * (1 - 0.05 ** 0.01)))
    expect([neighboursFor(5000, 2000), neighboursFor(1, 4), neighboursFor(1, 2)]).toEqual([5, 3, 1])
    // k is 26 of 100 for ten rows: a row at 50 covers the 13 on either side of it
    const one = rows(10, (_, d) => (d === 0 ? 50 : 0))
    const { sets, realDistance, shares } = coverageOf({ dim, real, sets: { one, all: real } })
    expect(realDistance).toBe(1)
    expect(sets.one).toMatchObject({ rows: 10, k: 26, coverage: 0.27 })
    expect(sets.one.density).toBeCloseTo((27 * 10) / (26 * 10), 6)
    expect(sets.one.distance).toBe(25)
    expect(sets.all).toMatchObject({ k: 5, coverage: 1, distance: 0 })
    expect(shares[0]).toBeCloseTo(1, 6)
    // along the line, the mean in the middle, the largest loading positive
    expect([...sets.one.points.subarray(0, 2)].map((v) => Math.abs(v))).toEqual([0.5, 0])
    expect(sets.one.points[0]).toBeGreaterThan(0)
  })

  it.each([1, 2, 700])('finds a plane for rows of %i numbers, the same each time', (wide) => {
    const values = (count: number) => Float32Array.from({ length: count * wide }, (_, i) => Math.sin(i * i) * (1 + (i % wide)))
    const request = { dim: wide, real: values(20), sets: { few: values(3) } }
    const reply = coverageOf(request)
    expect(coverageOf(request)).toEqual(reply)
    expect(reply.real.every(Number.isFinite)).toBe(true)
    const [first, second] = reply.shares
    expect(first).toBeGreaterThanOrEqual(second)
    expect(first + second).toBeLessThanOrEqual(1 + 1e-6)
  })

  it('is drawn and said of a run that has kept representations', async () => {
    const start = rows(4, (row, d) => (d === 0 ? 25 * row + 10 : d === 1 ? row : 0))
    const html = await pageOf({ sample: { dim, real, start, images: start.map((v) => v + 1) } })
    expect(html).toContain('<h2>Feature coverage</h2>')
    // targets at 0, 10, 20, 30 and k = 53: what lies up to 57 is near enough to one
    expect(html).toContain('The targets cover 58.0\u00a0% of 100 real images; the real images that the set started from cover 100.0\u00a0%')
    expect(html.match(/<path class="dots (real|curve-0|curve-1)" d="M/g)).toHaveLength(3)
    expect(html.match(/class="dots real" d="([^"]+)"/)?.[1].match(/h0/g)).toHaveLength(100)
    expect(html).not.toContain('NaN')
    expect(html).toContain('<th scope="row">targets of the set</th><td class="number">4</td>')
    expect(await pageOf({})).not.toContain('<h2>Feature coverage</h2>')
  })

  it('of two real images is left out, and a damaged file is refused', async () => {
    const two = { dim, real: real.slice(0, 2 * dim), start: real.slice(0, dim), images: real.slice(0, dim) }
    expect(await pageOf({ sample: two })).not.toContain('<h2>Feature coverage</h2>')
    const dir = await runOf({ sample: two })
    writeFileSync(join(dir, representationsFile), 'no')
    await expectError(() => writeReport(dir), 'invalid_data', /representations\.safetensors.*leaves the coverage out: remove it/)
    await writeRepresentationSample(dir, { ...two, dim: 1 })
    await expectError(() => writeReport(dir), 'invalid_data', /tensor 'real': expected F32 \[n, 3\]/)
  })
})
