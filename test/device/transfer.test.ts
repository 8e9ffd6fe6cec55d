/** @file Transfer end to end on tiny images: what is pretrained transfers, every protocol and source runs, repeats bit by bit, and resumes. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDataset } from '../../src/data/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { keyOf } from '../../src/engine/tensor/key.js'
import { networkByName } from '../../src/nn/networks/registry.js'
import { openCells } from '../../src/transfer/cells.js'
import { medoids } from '../../src/transfer/medoids.js'
import { forward, freshTensors } from '../../src/transfer/networks.js'
import { fitLinear } from '../../src/transfer/probe.js'
import type { TransferSet } from '../../src/transfer/source.js'
import { trainNetwork } from '../../src/transfer/train.js'
import { type TransferOptions, transfer } from '../../src/transfer/transfer.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const side = 8
const classes = 3
/** Bright bars across or down at a place by class, on a pattern by row: a class is seen by any network in a few steps. */
function bars(split: 'train' | 'test', rows: number) {
  const images = new Uint8Array(rows * side * side * 3)
  const labels = Int32Array.from({ length: rows }, (_, i) => i % classes)
  for (let i = 0; i < rows; i++)
    for (let y = 0; y < side; y++)
      for (let x = 0; x < side; x++) {
        const on = labels[i] === 0 ? y % 4 < 2 : labels[i] === 1 ? x % 4 < 2 : (x + y) % 4 < 2
        images.fill(
          (on ? 170 : 40) + ((i * 31 + x * 7 + y * 13 + (split === 'test' ? 5 : 0)) % 41),
          3 * ((i * side + y) * side + x),
          3 * ((i * side + y) * side + x + 1),
        )
      }
  return createDataset({
    ...{ name: 'bars', split, classes: ['across', 'down', 'slanted'], images, shape: [rows, side, side, 3] as const, labels, flip: false },
    ...{ mean: [0.45, 0.45, 0.45], std: [0.25, 0.25, 0.25] },
  })
}
const train = bars('train', 60)
const test = bars('test', 30)
const dim = 4

/** The class of an image, as numbers, and its brightness: what a good encoder would tell. */
const teacher = {
  ...{ name: 'bars', dim, sha256: 'f'.repeat(64), input: { shape: [side, side, 3] as const } },
  async encode(pixels: Float32Array, rows: number) {
    const out = new Float32Array(rows * dim)
    const at = (i: number, y: number, x: number) => pixels[3 * ((i * side + y) * side + x)]
    for (let i = 0; i < rows; i++) {
      out[i * dim] = at(i, 0, 2) - at(i, 2, 0)
      out[i * dim + 1] = at(i, 0, 0)
      out[i * dim + 2] = at(i, 2, 1)
      out[i * dim + 3] = at(i, 3, 3) - at(i, 1, 1)
    }
    return out
  },
}

async function someSet() {
  const rows = Int32Array.from({ length: 12 }, (_, i) => i)
  const part = train.subset(rows)
  const raw = Float32Array.from(part.images, (byte) => byte / 255)
  return {
    ...{ images: raw.map((v) => (v - 0.45) / 0.25), shape: [12, side, side, 3] as const, targets: await teacher.encode(raw, 12), dim },
    ...{ mean: train.mean, std: train.std, initSpace: 'normalised' as const },
    ...{ teacher: { name: 'bars', sha256: teacher.sha256 }, source: { name: 'bars', sha256: train.sha256 }, config: {} },
  }
}

const settings = {
  pretrain: { epochs: 20, batch: 8, lr: 5e-4 },
  finetune: { iterations: 30, batch: 16, lr: 0.02 },
  linear: { iterations: 60, batch: 16 },
  probe: { share: 0.2, iterations: 50 },
  kd: { epochs: 3, batch: 8, lr: 1e-3, bnEval: 'running' as const },
}
const optionsOf = (more: Partial<TransferOptions> = {}): TransferOptions => ({
  ...{ device, targets: [{ name: 'bars', train, test }], networks: ['conv-bn'], repeats: 1, settings, data: train, teacher },
  ...more,
})

/** All but the time. */
const measured = (cells: Awaited<ReturnType<typeof transfer>>) => cells.map(({ seconds: _, ...cell }) => cell)

describe('what a cell is known by', () => {
  const key = async (more: Partial<TransferOptions>) => {
    const [cell] = await transfer(await someSet(), optionsOf({ protocols: ['probe'], sources: ['random'], ...more }))
    return cell.key
  }

  it('has the normalisation of the target and what the teacher sees and gives', async () => {
    const other = createDataset({ ...train, mean: [0.4, 0.45, 0.45] })
    const flipped = createDataset({ ...train, flip: true })
    const keys = [
      await key({}),
      await key({ targets: [{ name: 'bars', train: other, test }] }),
      await key({ targets: [{ name: 'bars', train: flipped, test }] }),
      await key({ teacher: { ...teacher, output: 'pooled' } }),
      await key({ teacher: { ...teacher, input: { ...teacher.input, mean: [0.5, 0.5, 0.5], std: [1, 1, 1] } } }),
    ]
    expect(new Set(keys).size).toBe(5)
    expect(await key({})).toBe(keys[0])
  })

  it.each<[string, unknown, unknown, string, RegExp]>([
    ['no set', null, undefined, 'invalid_data', /set: expected what distillRepresentations makes/],
    ['an empty set', {}, undefined, 'invalid_data', /set: expected what distillRepresentations makes/],
    ['no target', undefined, [null], 'invalid_option', /target: expected \{ name, train, test \}/],
    ['a target without a name', undefined, [{ train, test }], 'invalid_option', /target: expected \{ name, train, test \}/],
    ['a target of no images', undefined, [{ name: 'x', train: {}, test: {} }], 'invalid_data', /data set|expected/],
  ])('of %s is refused', async (_, set, targets, code, message) => {
    const call = transfer(
      (set === undefined ? await someSet() : set) as TransferSet,
      optionsOf({ ...(targets !== undefined && { targets: targets as never }) }),
    )
    await expect(call).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  it('of one class, after a limit, is refused', async () => {
    const more: Partial<TransferOptions> = { protocols: ['probe'], sources: ['none'], trainImages: 1 }
    const message = /1 training images: expected images of at least two classes .* --train-images/
    await expect(transfer(await someSet(), optionsOf(more))).rejects.toMatchObject({
      code: 'invalid_option',
      message: expect.stringMatching(message),
    })
  })

  it("takes images and labels of one's own for a target", async () => {
    const own = ({ name, split, classes, images, shape, labels, mean, std, flip }: typeof train) => ({
      ...{ name, split, classes, images, shape, labels, mean, std, flip },
    })
    const more: Partial<TransferOptions> = { protocols: ['probe'], sources: ['none'] }
    const [first] = await transfer(await someSet(), optionsOf(more))
    const targets = [{ name: 'bars', train: own(train), test: own(test) }]
    const [again] = await transfer(await someSet(), optionsOf({ ...more, targets }))
    expect(again.key).toBe(first.key)
  })

  it('is the target, under any name and beside any others', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'transfer-'))
    const more: Partial<TransferOptions> = { protocols: ['linear'], sources: ['none'], trainImages: 31 }
    const [first] = await transfer(await someSet(), optionsOf({ ...more, store: await openCells(dir) }))
    expect(first.labelled).toBe(31)
    const targets = [
      { name: 'other', train: createDataset({ ...train, flip: true }), test },
      { name: 'renamed', train, test },
    ]
    const cells = await transfer(await someSet(), optionsOf({ ...more, targets, store: await openCells(dir) }))
    expect(cells[1]).toEqual({ ...first, target: 'renamed' })
    const [, alone] = await transfer(await someSet(), optionsOf({ ...more, targets }))
    expect(alone.accuracy).toBe(first.accuracy)
  })

  it.each(['random', 'kmeans'] as const)('of %s is none where the teacher answers NaN', async (source) => {
    const broken = {
      ...teacher,
      encode: async (pixels: Float32Array, rows: number) => (await teacher.encode(pixels, rows)).fill(Number.NaN, 2, 3),
    }
    const more: Partial<TransferOptions> = { protocols: ['probe'], sources: [source], teacher: broken }
    await expect(transfer(await someSet(), optionsOf(more))).rejects.toMatchObject({
      code: 'not_finite',
      message: /teacher 'bars': dimension 2/,
    })
  })

  it.each<Partial<TransferOptions>>([
    { sources: ['none', 'none'] },
    { protocols: ['probe', 'probe'] },
    { targets: [train, train].map((one) => ({ name: 'bars', train: one, test })) },
  ])('no name stands twice: %o', async (more) => {
    await expect(transfer(await someSet(), optionsOf(more))).rejects.toMatchObject({ code: 'invalid_option', message: /every name once/ })
  })

  it('takes a network once, however often it is named', async () => {
    const more: Partial<TransferOptions> = { protocols: ['probe'], sources: ['none'], networks: ['conv-bn', 'conv-bn'] }
    expect(await transfer(await someSet(), optionsOf(more))).toHaveLength(1)
  })
})

describe('transfer', () => {
  it('measures every protocol from every source, the same bits at any thread count, and goes on where it was', async () => {
    const set = await someSet()
    const network = networkByName('conv-bn', [side, side, 3], classes)
    const start = await freshTensors(device, network, keyOf(9))
    const rows = { pixels: train.images, shape: train.shape, mean: train.mean, std: train.std }
    const descent = { batch: 16, lr: 0.02, momentum: 0.9, weightDecay: 0, steps: 40, cosine: true, key: keyOf(1) }
    const { tensors } = await trainNetwork(device, network, start, rows, { labels: train.labels }, descent)
    const all: Partial<TransferOptions> = {
      protocols: ['finetune', 'linear', 'probe', 'kd'],
      sources: ['distilled', 'none', 'random', 'kmeans', 'full'],
      kdTeacher: { network: 'conv-bn', tensors },
    }
    const dir = mkdtempSync(join(tmpdir(), 'transfer-'))
    const store = await openCells(dir)
    const kdSteps: number[] = []
    const told = new Set<string>()
    const onProgress: TransferOptions['onProgress'] = ({ what, steps }) => {
      told.add(what)
      if (what === 'kd') kdSteps.push(steps)
    }
    const cells = await transfer(set, optionsOf({ ...all, store, onProgress }))
    expect(cells).toHaveLength(20)
    for (const { accuracy, source, pretrainLoss, labelled, protocol } of cells) {
      expect(accuracy).toBeGreaterThanOrEqual(0)
      expect(accuracy).toBeLessThanOrEqual(100)
      expect(pretrainLoss === null).toBe(source === 'none')
      expect(labelled).toBe({ finetune: 60, linear: 60, probe: 12, kd: 0 }[protocol])
    }
    const of = (source: string, protocol: string) => cells.find((cell) => cell.source === source && cell.protocol === protocol)?.accuracy
    expect(of('distilled', 'finetune')).toBeGreaterThan(90)
    expect(of('full', 'linear')).toBeGreaterThan(90)

    expect([...told].sort()).toEqual(['encode', 'finetune', 'kd', 'linear', 'pretrain', 'probe'])
    expect(new Set(kdSteps)).toEqual(new Set([3 * Math.ceil(12 / 8)]))
    const again = await transfer(set, optionsOf({ ...all, store: await openCells(dir), onProgress: () => expect.unreachable() }))
    expect(again).toEqual(cells)
    const other = await Device.open({ threads: 1 })
    const part = { protocols: ['finetune', 'kd'] as const, sources: ['distilled', 'none'] as const, kdTeacher: all.kdTeacher }
    const wanted = measured(cells).filter(
      (cell) => part.protocols.some((p) => p === cell.protocol) && part.sources.some((s) => s === cell.source),
    )
    expect(measured(await transfer(set, { ...optionsOf(part as Partial<TransferOptions>), device: other }))).toEqual(wanted)
    await other.close()
  })

  it.each(['finetune', 'linear', 'probe', 'kd'] as const)(
    'refuses %s without room before it trains, and runs in what it needs',
    async (protocol) => {
      const set = await someSet()
      const network = networkByName('conv-bn', [side, side, 3], classes)
      const kdTeacher = { network: 'conv-bn', tensors: await freshTensors(device, network, keyOf(9)) }
      const short = { pretrain: { epochs: 1, batch: 2 }, finetune: { iterations: 1 }, linear: { iterations: 1 }, kd: { epochs: 1 } }
      let [memory, runs] = [1 << 20, 0]
      for (let tries = 0; runs === 0 && tries < 20; tries++) {
        const little = await Device.open({ threads: 1, memory })
        const more: Partial<TransferOptions> = { device: little, protocols: [protocol], sources: ['distilled', 'kmeans'], kdTeacher }
        const failure = await transfer(set, optionsOf({ ...more, settings: short, onProgress: () => runs++ })).catch((error) => error)
        await little.close()
        if (Array.isArray(failure)) break
        expect([failure.code, runs]).toEqual(['out_of_memory', 0])
        expect(failure.message).toMatch(/^transfer: .*; (lower|take|leave)/)
        // of a stage that could be laid out it is known to the byte
        const [, needed] = /needs (\d+) bytes on the device/.exec(failure.message) ?? []
        memory = needed === undefined ? memory + (memory >> 1) : Number(needed)
      }
      expect(runs).toBeGreaterThan(0)
    },
  )

  it.each([
    [
      'a target with one class',
      { targets: [{ name: 'one', train: train.subset(train.classIndices(1)), test }] },
      'invalid_data',
      'two classes',
    ],
    ['no targets', { targets: [] }, 'invalid_option', 'targets'],
    ['a network that is none', { networks: ['convnext'] }, 'not_found', 'convnext'],
    ['a protocol that is none', { protocols: ['zero-shot' as 'kd'] }, 'invalid_option', 'zero-shot'],
    ['kd without a classifier', { protocols: ['kd' as const] }, 'invalid_option', 'kdTeacher'],
    ['a baseline without a teacher', { sources: ['random' as const], teacher: undefined as never }, 'invalid_option', 'random'],
    ['a teacher of other targets', { teacher: { ...teacher, dim: 9 } }, 'invalid_data', '4 dimensions'],
    ['fewer real images than the set has', { data: train.subset([0, 1, 2]) }, 'invalid_data', '12'],
    [
      'a teacher that the set was not made with',
      { teacher: { ...teacher, sha256: 'e'.repeat(64) } },
      'incompatible',
      'the teacher that the set was made with',
    ],
    ['real images that the set was not made from', { data: bars('train', 61) }, 'incompatible', 'the data that the set was made from'],
    ['a part of the real images', { data: train.subset([...Array(20).keys()]) }, 'incompatible', 'the data that the set was made from'],
    ['no repetition', { repeats: 0 }, 'invalid_option', 'repeats'],
  ] as [string, Partial<TransferOptions>, string, string][])('refuses %s before anything trains', async (_, change, code, message) => {
    const given = Object.fromEntries(
      Object.entries(optionsOf(change)).filter(([, value]) => value !== undefined),
    ) as unknown as TransferOptions
    const failure = transfer(await someSet(), { ...given, onProgress: () => expect.unreachable() })
    await expect(failure).rejects.toMatchObject({ code, message: expect.stringContaining(message) })
  })

  it('ends at an abort with what was measured in the store', async () => {
    const store = await openCells(mkdtempSync(join(tmpdir(), 'transfer-')))
    const abort = new AbortController()
    const cells = transfer(
      await someSet(),
      optionsOf({ protocols: ['linear', 'finetune'], sources: ['none'], store, signal: abort.signal, onCell: () => abort.abort() }),
    )
    await expect(cells).rejects.toMatchObject({ name: 'AbortError' })
    expect(store.cells).toHaveLength(1)
  })
})

describe('medoids', () => {
  const [groups, count, width] = [7, 2500, 6]
  // groups far apart, their rows on a line around the middle one
  const at = (row: number) => Math.floor(row / groups) - Math.floor(count / groups / 2)
  const data = Float32Array.from({ length: count * width }, (_, i) => {
    const [row, k] = [Math.floor(i / width), i % width]
    return 1000 * Math.sin(3 * (row % groups) + k) + (k === 0 ? at(row) : 0) * 0.01
  })
  const rowsOf = (own: Device, n = groups) => medoids(own, { data, shape: [count, width] }, n, { key: keyOf(4) })

  it('are the middle rows of groups, one of each, the same at any thread count', async () => {
    const rows = await rowsOf(device)
    expect(new Set([...rows].map((row) => row % groups)).size).toBe(groups)
    for (const row of rows) expect(Math.abs(at(row))).toBeLessThanOrEqual(2)
    const one = await Device.open({ threads: 1 })
    expect(await rowsOf(one)).toEqual(rows)
    await one.close()
  })

  it('are as many rows as are asked for, even where all are the same', async () => {
    const same = new Float32Array(20).fill(3)
    expect([...(await medoids(device, { data: same, shape: [10, 2] }, 4, { key: keyOf(1) }))]).toHaveLength(4)
    expect(new Set(await medoids(device, { data: same, shape: [10, 2] }, 10, { key: keyOf(1) })).size).toBe(10)
  })
})

describe('parts', () => {
  it('answer in batches as they would alone, and by the batch where they are asked to', async () => {
    const network = networkByName('conv-bn', [side, side, 3], classes)
    const tensors = await freshTensors(device, network, keyOf(2))
    const rows = (data: typeof train) => ({ pixels: data.images, shape: data.shape, mean: data.mean, std: data.std })
    const whole = await forward(device, network, tensors, rows(test), 'logits', { batch: 7 })
    const alone = await forward(device, network, tensors, rows(test.subset([29])), 'logits')
    for (let c = 0; c < classes; c++) expect(whole.data[29 * classes + c]).toBeCloseTo(alone.data[c], 5)
    const byBatch = await forward(device, network, tensors, rows(test), 'logits', { batch: 30, batchNorm: 'batch' })
    expect(byBatch.data).not.toEqual(whole.data)
  })

  it('fit a linear classifier whose gradient vanishes', async () => {
    const features = Float32Array.from({ length: 40 * 5 }, (_, i) => Math.sin(i * i))
    const labels = Int32Array.from({ length: 40 }, (_, i) => (features[5 * i] > 0 ? 1 : 0))
    const { weights, bias } = await fitLinear(device, features, 5, labels, 2, { iterations: 200, l2: 1e-3 })
    const gradient = new Float64Array(10)
    let right = 0
    for (let row = 0; row < 40; row++) {
      const logits = [0, 1].map((c) => bias[c] + [0, 1, 2, 3, 4].reduce((n, j) => n + features[5 * row + j] * weights[2 * j + c], 0))
      const p = 1 / (1 + Math.exp(logits[0] - logits[1]))
      if (Number(p > 0.5) === labels[row]) right++
      for (let j = 0; j < 5; j++) {
        gradient[2 * j + 1] += ((p - labels[row]) * features[5 * row + j]) / 40
        gradient[2 * j] -= ((p - labels[row]) * features[5 * row + j]) / 40
      }
    }
    for (let i = 0; i < 10; i++) expect(Math.abs(gradient[i] + 2e-3 * weights[i])).toBeLessThan(1e-4)
    expect(right).toBeGreaterThanOrEqual(38)
  })
})
