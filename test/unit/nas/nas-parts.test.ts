/** @file Parts of architecture search without a device: rank correlations by hand, the space, its costs, rows of early stopping, cells on the disk. */
import { appendFileSync, existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { kendall, ranks, spearman, spearmanInterval, topPlaces } from '../../../src/nas/correlation.js'
import { readNasResult } from '../../../src/nas/kept-result.js'
import { openNasStore, readNasCells } from '../../../src/nas/record.js'
import { architecturesOf, checkSpace, convNetSpace, costOf, networkOf, sampleOf } from '../../../src/nas/space.js'
import type { NasResult } from '../../../src/nas/summary.js'
import { chunksOf } from '../../../src/nas/training.js'
import { freshDir } from '../data/fixtures.js'

describe('rank correlation', () => {
  it('shares ranks among equal values', () => {
    expect(ranks([10, 20, 20, 5])).toEqual([2, 3.5, 3.5, 1])
    expect(ranks([7, 7, 7])).toEqual([2, 2, 2])
    expect(ranks([])).toEqual([])
  })

  it('is what it is by hand, without ties', () => {
    // d = -1, 1, 0, -1, 1: rho = 1 - 6 * 4 / (5 * 24); 8 pairs agree, 2 do not
    const [a, b] = [
      [1, 2, 3, 4, 5],
      [2, 1, 3, 5, 4],
    ]
    expect(spearman(a, b)).toBeCloseTo(0.8, 12)
    expect(kendall(a, b)).toBeCloseTo(0.6, 12)
    expect(spearman(a, [5, 4, 3, 2, 1])).toBe(-1)
    expect(kendall(a, [5, 4, 3, 2, 1])).toBe(-1)
  })

  it('is what it is by hand, with ties', () => {
    // ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4: sxy = 4.5, sxx = 4.5, syy = 5; five pairs agree, one is tied in a
    expect(spearman([1, 2, 2, 3], [1, 3, 2, 4])).toBeCloseTo(4.5 / Math.sqrt(4.5 * 5), 12)
    expect(kendall([1, 2, 2, 3], [1, 3, 2, 4])).toBeCloseTo(5 / Math.sqrt(5 * 6), 12)
    // ranks 1.5, 1.5, 3, 4 and 1, 2.5, 2.5, 4: pairs (0,1) tied in a, (1,2) in b, the other four agree
    expect(spearman([1, 1, 2, 3], [1, 2, 2, 3])).toBeCloseTo(3.75 / 4.5, 12)
    expect(kendall([1, 1, 2, 3], [1, 2, 2, 3])).toBeCloseTo(4 / 5, 12)
  })

  it('is not there where a side has no order', () => {
    for (const correlate of [spearman, kendall]) {
      expect(correlate([1, 2, 3], [5, 5, 5])).toBeNull()
      expect(correlate([1], [2])).toBeNull()
      expect(correlate([], [])).toBeNull()
    }
  })

  it('lies in [-1, 1], is symmetric, 1 with itself, and does not change under a growing function', () => {
    const pairs = fc.array(fc.tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 6 })), { minLength: 2, maxLength: 30 })
    fc.assert(
      fc.property(pairs, (rows) => {
        const [a, b] = [rows.map(([x]) => x), rows.map(([, y]) => y)]
        for (const correlate of [spearman, kendall]) {
          const value = correlate(a, b)
          expect(correlate(b, a)).toEqual(value)
          expect(
            correlate(
              a.map((x) => x ** 3),
              b,
            ),
          ).toEqual(value)
          if (value !== null) expect(Math.abs(value)).toBeLessThanOrEqual(1 + 1e-12)
          if (new Set(a).size > 1) expect(correlate(a, a)).toBeCloseTo(1, 12)
        }
      }),
    )
  })

  it('has an interval from four pairs on', () => {
    expect(spearmanInterval(0.5, 3)).toBeNull()
    expect(spearmanInterval(null, 30)).toBeNull()
    expect(spearmanInterval(1, 9)).toBeNull()
    expect(spearmanInterval(-1, 9)).toBeNull()
    // atanh 0.5 = 0.549306; 1.959964 * sqrt(1.125 / 25) = 0.415771
    const [low, high] = spearmanInterval(0.5, 28) as [number, number]
    expect(low).toBeCloseTo(Math.tanh(0.549306 - 0.415771), 5)
    expect(high).toBeCloseTo(Math.tanh(0.549306 + 0.415771), 5)
  })

  it('takes the best of a list, the first of equal ones, two at least', () => {
    expect(topPlaces([3, 9, 9, 1, 5], 0.4)).toEqual([1, 2])
    expect(topPlaces([3, 9, 9, 1, 5], 0.01)).toEqual([1, 2])
    expect(topPlaces([3, 9, 9, 1, 5], 1)).toEqual([1, 2, 4, 0, 3])
  })
})

describe('the space', () => {
  it('has 720 networks where nothing is said, and every combination once', () => {
    const all = architecturesOf(checkSpace({}))
    expect(all).toHaveLength(720)
    expect(new Set(all.map(({ name }) => name)).size).toBe(720)
    const some = architecturesOf(checkSpace({ width: [8, 4], depth: [2], norm: ['batch'], activation: ['relu'] }))
    expect(some.map(({ name }) => name)).toEqual(
      ['w8', 'w4'].flatMap((width) => convNetSpace.pooling.map((pooling) => `convnet-${width}-d2-batch-relu-${pooling}`)),
    )
  })

  it.each([
    [{ width: [] }, 'at least one value'],
    [{ width: [0] }, 'width'],
    [{ depth: [1.5] }, 'depth'],
    [{ norm: ['spectral'] as never }, 'spectral'],
    [{ activation: ['gelu'] as never }, 'gelu'],
    [{ pooling: ['avg', 'avg'] as never }, 'once'],
    [{ pooling: 'avg' as never }, 'a list'],
    [{ kernel: [3] } as never, 'kernel'],
    [{ width: Array.from({ length: 200 }, (_, i) => i + 1), depth: Array.from({ length: 60 }, (_, i) => i + 1) }, '10000'],
  ])('refuses %j', (space, message) => {
    expect(() => checkSpace(space)).toThrow(expect.objectContaining({ code: 'invalid_option', message: expect.stringContaining(message) }))
  })

  it('names a network that is too deep for the images', () => {
    const [, , deep] = architecturesOf(checkSpace({ width: [4], depth: [2, 3, 4], norm: ['none'], activation: ['relu'], pooling: ['max'] }))
    expect(() => networkOf(deep, [8, 8, 3], 10)).toThrow(
      expect.objectContaining({
        code: 'invalid_option',
        message: expect.stringMatching(/convnet-w4-d4-none-relu-max.*\[8, 8, 3\].*fewer blocks/),
      }),
    )
    const wide = architecturesOf(checkSpace({ width: [6], depth: [1], norm: ['group'] }))
    expect(() => networkOf(wide[0], [8, 8, 3], 10)).toThrow(expect.objectContaining({ message: expect.stringContaining('multiple of 4') }))
  })

  it("knows what an image costs: DC's ConvNet has 320,010 parameters and 50.7 million products", () => {
    const [standard] = architecturesOf(checkSpace({ width: [128], depth: [3], norm: ['instance'], activation: ['relu'], pooling: ['avg'] }))
    const cost = costOf(networkOf(standard, [32, 32, 3], 10), standard)
    expect(cost.parameters).toBe(320_010)
    expect(cost.flops / 2e6).toBeCloseTo(50.7, 1)
    expect(cost.activations).toBe(128 * (32 ** 2 + 16 ** 2 + 8 ** 2))
    const gray = costOf(networkOf(standard, [28, 28, 1], 10), standard)
    expect(gray.activations).toBe(cost.activations)
  })

  it('gives samples without repetition that grow, and others for another seed', () => {
    const small = sampleOf(720, 20, 0)
    expect(new Set(small).size).toBe(20)
    expect([...small]).toEqual([...small].sort((a, b) => a - b))
    expect([...small].every((place) => sampleOf(720, 40, 0).includes(place))).toBe(true)
    expect(sampleOf(720, 20, 1)).not.toEqual(small)
    expect([...sampleOf(5, 5, 3)]).toEqual([0, 1, 2, 3, 4])
  })
})

it('early stopping sees no row twice in the pieces of an order', async () => {
  const rowsOf = chunksOf(10, 4, 0)
  const epochs: number[][] = []
  for (const epoch of [0, 1, 2, 3]) epochs.push([...(await rowsOf(epoch))])
  for (const pass of [epochs.slice(0, 2), epochs.slice(2)]) expect(new Set(pass.flat()).size).toBe(8)
  for (const rows of epochs) expect(rows).toEqual([...rows].sort((a, b) => a - b))
  expect([...(await rowsOf(0))]).toEqual(epochs[0])
  expect([...(await chunksOf(3, 8, 0)(5))]).toEqual([0, 1, 2])
})

describe('cells', () => {
  const cell = (key: string, accuracy: number | null = 50) => ({
    ...{ architecture: 'convnet-w4-d2-none-relu-avg', source: 'full' as const, repeat: 0, accuracy, seconds: 1.5, key },
  })

  it('are found again with their times, which stand in a file of their own', async () => {
    const dir = join(freshDir(), 'nas')
    const store = await openNasStore(dir)
    await store.add([cell('a'), cell('b', null)])
    expect(await readNasCells(dir)).toEqual([cell('a'), cell('b', null)])
    expect(existsSync(join(dir, 'nas.json'))).toBe(false)
    const again = await openNasStore(dir)
    expect(again.find('b')).toEqual(cell('b', null))
    expect(again.find('c')).toBeUndefined()
    await again.conclude({ sources: [{ source: 'full', seconds: 3, spaceSeconds: 4 }], seed: 1 } as unknown as NasResult)
    const text = readFileSync(join(dir, 'nas.json'), 'utf8')
    expect(text).not.toContain('econds')
    expect(JSON.parse(text).result).toEqual({ seed: 1, sources: [{ source: 'full' }] })
    expect(existsSync(join(dir, 'nas.journal'))).toBe(false)
    expect(await readNasCells(dir)).toEqual([cell('a'), cell('b', null)])
    writeFileSync(join(dir, 'nas-times.json'), '{"format":"aludel-nas-times","version":1,"cells":[]}')
    expect((await readNasCells(dir)).map(({ seconds }) => seconds)).toEqual([null, null])
  })

  const result = { sources: [], seed: 1 } as unknown as NasResult

  it('cost as many bytes as they have, however many there are', async () => {
    const dir = freshDir()
    const store = await openNasStore(dir)
    const sizes: number[] = []
    for (let i = 0; i < 20; i++) {
      await store.add([cell(`key ${10 + i}`)])
      sizes.push(statSync(join(dir, 'nas.journal')).size)
    }
    expect(sizes).toEqual(sizes.map((_, i) => (i + 1) * sizes[0]))
  })

  it('of a search that was killed at any byte are those of whole lines, and it ends with the same file', async () => {
    const whole = freshDir()
    const store = await openNasStore(whole)
    for (const key of ['a', 'b', 'c']) await store.add([cell(key), cell(`${key}2`)])
    const journal = readFileSync(join(whole, 'nas.journal'), 'utf8')
    await store.conclude(result)
    const line = journal.length / 3
    for (const bytes of [0, 1, line - 1, line, line + 7, 2 * line, journal.length - 1, journal.length]) {
      const dir = freshDir()
      writeFileSync(join(dir, 'nas.journal'), journal.slice(0, bytes))
      const again = await openNasStore(dir)
      expect(again.cells).toHaveLength(2 * Math.floor(bytes / line))
      for (const key of ['a', 'b', 'c']) if (!again.find(key)) await again.add([cell(key), cell(`${key}2`)])
      expect(readFileSync(join(dir, 'nas.journal'), 'utf8')).toBe(journal)
      await again.conclude(result)
      expect(readFileSync(join(dir, 'nas.json'))).toEqual(readFileSync(join(whole, 'nas.json')))
    }
  })

  it('are no others when it was killed between its end and the end of its journal', async () => {
    const dir = freshDir()
    const store = await openNasStore(dir)
    await store.add([cell('a'), cell('b')])
    const journal = readFileSync(join(dir, 'nas.journal'), 'utf8')
    await store.conclude(result)
    const text = readFileSync(join(dir, 'nas.json'), 'utf8')
    writeFileSync(join(dir, 'nas.journal'), journal)
    const again = await openNasStore(dir)
    expect(again.cells).toEqual([cell('a'), cell('b')])
    await again.conclude(result)
    expect(readFileSync(join(dir, 'nas.json'), 'utf8')).toBe(text)
  })

  it('of an earlier version, which has none of its own journal, come first', async () => {
    const dir = freshDir()
    const { seconds: _, ...kept } = cell('old')
    writeFileSync(join(dir, 'nas.json'), JSON.stringify({ format: 'aludel-nas', version: 1, cells: [kept], result: null }))
    const store = await openNasStore(dir)
    await store.add([cell('new')])
    expect(await readNasCells(dir)).toEqual([{ ...cell('old'), seconds: null }, cell('new')])
    expect(await readNasResult(dir)).toBeUndefined()
  })

  it('of a journal that is none are refused', async () => {
    const dir = freshDir()
    const store = await openNasStore(dir)
    await store.add([cell('a')])
    appendFileSync(join(dir, 'nas.journal'), '[{"key":"b"}]\n')
    await expect(openNasStore(dir)).rejects.toMatchObject({ code: 'invalid_data', message: expect.stringMatching(/nas\.journal: line 2/) })
    renameSync(join(dir, 'nas.journal'), join(dir, 'other'))
    expect(await readNasCells(dir)).toEqual([])
  })

  it('of a file that is none are refused', async () => {
    for (const text of [
      '{',
      '{}',
      '{"format":"aludel-nas","version":1,"cells":[{}]}',
      '{"format":"aludel-transfer","version":1,"cells":[]}',
    ]) {
      const dir = freshDir()
      writeFileSync(join(dir, 'nas.json'), text)
      await expect(readNasCells(dir)).rejects.toMatchObject({ code: 'invalid_data' })
    }
  })
})
