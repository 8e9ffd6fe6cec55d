/** @file Parts of transfer without a device: settings, L-BFGS, resizing, shares of labels, cells on the disk, rows of the table. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { targetList } from '../../../src/cli/commands/transfer.js'
import { keyOf } from '../../../src/engine/tensor/key.js'
import { openCells, readCells, type TransferCell } from '../../../src/transfer/cells.js'
import { minimise } from '../../../src/transfer/lbfgs.js'
import { resizeImages, triangleTaps } from '../../../src/transfer/resize.js'
import { drawCrops } from '../../../src/transfer/rows.js'
import { defaultSettings, settingsOf } from '../../../src/transfer/settings.js'
import { transferRows } from '../../../src/transfer/summary.js'
import { apportion, checkTarget, shareOfRows } from '../../../src/transfer/target.js'
import { noiseDataset } from '../../noise-dataset.js'

describe('settings', () => {
  it("are the source's, with what is said otherwise", () => {
    expect(settingsOf({}, 512)).toEqual(defaultSettings)
    expect(settingsOf({}, 2048)).toEqual(defaultSettings)
    expect(settingsOf({}, 64).pretrain).toEqual({ ...defaultSettings.pretrain, lr: 0.0125 })
    expect(settingsOf({ pretrain: { lr: 0.3 } }, 64).pretrain.lr).toBe(0.3)
    const changed = settingsOf({ finetune: { iterations: 5 }, kd: { bnEval: 'running' } }, 512)
    expect(changed.finetune).toEqual({ ...defaultSettings.finetune, iterations: 5 })
    expect(changed.kd.bnEval).toBe('running')
    expect(changed.pretrain).toEqual({ epochs: 1000, batch: 256, lr: 0.1, momentum: 0.9, weightDecay: 1e-3 })
  })

  it.each([
    [{ pretrain: { epochs: 0 } }, 'epochs'],
    [{ finetune: { lr: Number.NaN } }, 'lr'],
    [{ probe: { share: 1.5 } }, 'share'],
    [{ kd: { bnEval: 'both' as 'batch' } }, 'bnEval'],
    [{ linear: { momentum: 1 } }, 'momentum'],
    [{ linear: { rate: 1 } as never }, 'rate'],
  ])('refuse %j', (change, name) => {
    expect(() => settingsOf(change, 512)).toThrow(
      expect.objectContaining({ code: 'invalid_option', message: expect.stringContaining(name) }),
    )
  })
})

describe('L-BFGS', () => {
  it('finds the minimum of the Rosenbrock function', async () => {
    const evaluate = (x: Float64Array) => ({
      value: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2,
      gradient: Float64Array.of(-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)),
    })
    const start = Float64Array.of(-1.2, 1)
    const { x, iterations } = await minimise(evaluate, start, { iterations: 200 })
    expect(x[0]).toBeCloseTo(1, 6)
    expect(x[1]).toBeCloseTo(1, 6)
    expect(iterations).toBeLessThan(100)
    expect([...start]).toEqual([-1.2, 1])
  })

  it('solves a badly scaled quadratic, and stops where the gradient is zero', async () => {
    const scales = Float64Array.from({ length: 20 }, (_, i) => 10 ** (i / 5))
    const evaluate = (x: Float64Array) => ({
      value: x.reduce((n, v, i) => n + 0.5 * scales[i] * (v - i) ** 2, 0),
      gradient: x.map((v, i) => scales[i] * (v - i)),
    })
    const found = await minimise(evaluate, new Float64Array(20), { iterations: 500 })
    for (const [i, v] of found.x.entries()) expect(v).toBeCloseTo(i, 5)
    expect((await minimise(evaluate, found.x, { iterations: 5, tolerance: 1e-3 })).iterations).toBe(0)
  })

  it('ends where no step makes the value smaller', async () => {
    const wrong = (x: Float64Array) => ({ value: x[0], gradient: Float64Array.of(-1) })
    expect((await minimise(wrong, Float64Array.of(0), { iterations: 9 })).iterations).toBe(0)
  })
})

describe('resizing', () => {
  it('weighs pixels by a triangle: the mean of pairs at half the size is inside, and every set of weights is one in all', () => {
    for (const [from, to] of [
      [8, 4],
      [5, 3],
      [3, 7],
      [16, 32],
    ]) {
      for (const { first, weights } of triangleTaps(from, to)) {
        expect(weights.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12)
        expect(first).toBeGreaterThanOrEqual(0)
        expect(first + weights.length).toBeLessThanOrEqual(from)
      }
    }
    expect([...triangleTaps(4, 4)[1].weights].filter((w) => w > 0)).toEqual([1])
    // (1, 3, 3, 1) / 8 around the middle of two pixels
    expect([...triangleTaps(8, 4)[1].weights]).toEqual([1, 3, 3, 1].map((w) => w / 8))
  })

  it('keeps what has the size, a flat image at any size, and makes colour of gray and gray of colour', async () => {
    const pixels = Uint8Array.from({ length: 2 * 3 * 3 }, (_, i) => 10 * i)
    expect(await resizeImages('x', pixels, [2, 3, 3, 1], [3, 3, 1])).toBe(pixels)
    const flat = await resizeImages('x', new Uint8Array(5 * 4).fill(77), [1, 5, 4, 1], [9, 2, 3])
    expect([...new Set(flat)]).toEqual([77])
    expect(flat.length).toBe(54)
    expect([...(await resizeImages('x', Uint8Array.of(255, 0, 0, 0, 255, 0), [1, 1, 2, 3], [1, 2, 1]))]).toEqual([76, 150])
    await expect(resizeImages('x', new Uint8Array(8), [1, 2, 2, 2], [2, 2, 3])).rejects.toMatchObject({
      code: 'invalid_data',
      message: 'x: expected images of 3 channels as the set has, or of 1 but received 2; convert them',
    })
  })
})

describe('labels', () => {
  it('are shared out class by class, at least one of each, the same for one key', async () => {
    const labels = Int32Array.from({ length: 110 }, (_, i) => (i < 100 ? 0 : i < 107 ? 1 : 3))
    const chosen = await shareOfRows(labels, 4, 0.05, keyOf(1))
    expect([...chosen].map((row) => labels[row])).toEqual([0, 0, 0, 0, 0, 1, 3])
    expect(await shareOfRows(labels, 4, 0.05, keyOf(1))).toEqual(chosen)
    expect(await shareOfRows(labels, 4, 0.05, keyOf(2))).not.toEqual(chosen)
    expect(await shareOfRows(labels, 4, 1, keyOf(1))).toEqual(Int32Array.from({ length: 110 }, (_, i) => i))
  })

  it.each([
    [[100, 7, 0, 3], 11, [9, 1, 0, 1]],
    [[100, 7, 0, 3], 3, [1, 1, 0, 1]],
    [[5, 5, 5], 2, [1, 1, 0]],
    [[10, 20, 30], 7, [1, 2, 4]],
    [[4, 4], 9, [4, 4]],
  ])('of %j are limited to %i in all: %j', (sizes, most, counts) => {
    expect(apportion(sizes, most)).toEqual(counts)
  })

  it('of one class alone are refused, and so are splits with other classes', () => {
    const one = noiseDataset.subset(noiseDataset.classIndices(0))
    expect(() => checkTarget({ name: 'one', train: one, test: noiseDataset })).toThrow(
      expect.objectContaining({ code: 'invalid_data', message: expect.stringContaining('at least two classes') }),
    )
    const other = { ...noiseDataset, classes: ['a', 'c'] }
    expect(() => checkTarget({ name: 'other', train: noiseDataset, test: other })).toThrow(
      expect.objectContaining({ code: 'invalid_data' }),
    )
  })
})

it('crops by whole pixels within the padding and mirrors half of the images', () => {
  const { crop, flip } = drawCrops(keyOf(3), 5, 600, { padding: 4, flip: true })
  const column = (data: Float32Array, at: number) => Array.from({ length: 600 }, (_, i) => data[8 * i + at])
  for (const at of [1, 2]) expect(new Set(column(crop, at))).toEqual(new Set([-4, -3, -2, -1, 0, 1, 2, 3, 4]))
  const mirrored = column(flip, 1).reduce((a, b) => a + b, 0)
  expect(Math.abs(mirrored - 300)).toBeLessThan(5 * Math.sqrt(150))
  expect(drawCrops(keyOf(3), 5, 600, { padding: 0, flip: false }).flip.every((v, i) => i % 8 !== 1 || v === 0)).toBe(true)
})

const cell = (change: Partial<TransferCell>): TransferCell => ({
  ...{ network: 'conv-bn', source: 'distilled', target: 'cifar10', protocol: 'linear', repeat: 0, accuracy: 50 },
  ...{ pretrainLoss: 0.5, labelled: 10, seconds: 1, key: 'k0' },
  ...change,
})

describe('cells', () => {
  it('are on the disk one by one, and found again by their key', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'transfer-'))
    const store = await openCells(dir)
    await store.add(cell({}))
    await store.add(cell({ key: 'k1', repeat: 1 }))
    expect(await readCells(dir)).toEqual([cell({}), cell({ key: 'k1', repeat: 1 })])
    const again = await openCells(dir)
    expect(again.find('k1')?.repeat).toBe(1)
    expect(again.find('k2')).toBeUndefined()
  })

  it('of a file that is none are refused', async () => {
    for (const text of ['{', '{}', '{"format":"aludel-transfer","version":1,"cells":[{}]}']) {
      const dir = mkdtempSync(join(tmpdir(), 'transfer-'))
      writeFileSync(join(dir, 'transfer.json'), text)
      await expect(readCells(dir)).rejects.toMatchObject({ code: 'invalid_data' })
    }
  })

  it('become rows with mean, deviation and interval by source', () => {
    const [row, ...more] = transferRows([
      cell({ accuracy: 50 }),
      cell({ accuracy: 54, repeat: 1 }),
      cell({ source: 'none', accuracy: 30, pretrainLoss: null }),
    ])
    expect(more).toEqual([])
    expect(row).toMatchObject({ target: 'cifar10', protocol: 'linear', network: 'conv-bn' })
    expect(row.accuracies.map(({ source }) => source)).toEqual(['distilled', 'none'])
    const [distilled, none] = row.accuracies
    expect(distilled).toMatchObject({ mean: 52, std: 2, n: 2 })
    // 12.7062 x sqrt(8) / sqrt(2)
    expect(distilled.interval?.[1]).toBeCloseTo(52 + 12.7062 * 2, 3)
    expect(none.interval).toBeNull()
  })
})

it('takes data sets apart at commas, but not their own options', () => {
  expect(targetList('cifar10:a,folder:b,size=32,fit=crop,mnist:c')).toEqual(['cifar10:a', 'folder:b,size=32,fit=crop', 'mnist:c'])
  expect(targetList('folder:b', targetList('cifar10:a'))).toEqual(['cifar10:a', 'folder:b'])
  expect(() => targetList('a,,b')).toThrow()
})
