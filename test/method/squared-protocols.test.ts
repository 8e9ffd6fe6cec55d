/** @file The protocols of FRePo and KIP: Adam in the trainer, warm-up and cosine by step, centred rows for hard labels, and FRePo's augmentation. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { drawBatch, parseAugment, thetaSize } from '../../src/augment/dsa.js'
import { Device } from '../../src/engine/runtime/device.js'
import { keyOf } from '../../src/engine/tensor/key.js'
import { uniform } from '../../src/engine/tensor/philox.js'
import { evaluate, randomRealSet } from '../../src/evaluate/index.js'
import { defaultProtocol, protocolFor, type TrainingRule } from '../../src/evaluate/protocol.js'
import { Trainer } from '../../src/evaluate/trainer.js'
import type { EvaluateOptions } from '../../src/experiment/types.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { stripes } from './contract.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

describe('the protocols', () => {
  const images = (n: number, classes = 10) => ({ shape: [n, 8, 8, 3], classes: Array.from({ length: classes }, (_, c) => String(c)) })

  it.each([
    [1, 1000],
    [10, 1000],
    [100, 2000],
    [200, 20_000],
    [400, 5000],
    [500, 5000],
    [1000, 10_000],
    [2000, 40_000],
    [5000, 40_000],
  ])("'frepo' trains on %i images for %i steps", (n, steps) => {
    const { epochs, batch, trained } = protocolFor(images(n), 'soft', 'frepo')
    expect(trained(epochs) * Math.ceil(n / Math.min(n, batch))).toBe(steps)
  })

  it("'kip' trains for more steps where there are 200 classes", () => {
    expect([10, 200].map((classes) => protocolFor(images(100, classes), 'soft', 'kip').epochs)).toEqual([10_000, 40_000])
    expect(protocolFor(images(1000), 'soft', 'kip').epochs).toBe(5000)
  })

  it.each([
    ['frepo', 0.01],
    ['kip', 0],
  ] as const)("'%s' warms up over 500 steps and ends at %d of the rate", (name, end) => {
    const { stepFactor, lr } = protocolFor(images(100), 'soft', name)
    expect(lr('convnet')).toBe(3e-4)
    expect([0, 250, 500, 1250, 2000].map((step) => stepFactor?.(step, 2000))).toEqual(
      [0, 0.5, 1, (1 + end) / 2, end].map((value) => expect.closeTo(value, 12)),
    )
    // never more than half of the steps
    expect([0, 5, 10].map((step) => stepFactor?.(step, 20))).toEqual([0, 0.5, 1])
  })

  it('are the default for sets of their methods', () => {
    const of = (method: string) => defaultProtocol({ config: { method } })
    expect([of('frepo'), of('kip'), of('dm'), of('rfad'), defaultProtocol({ learningRate: 1, config: { method: 'kip' } })]).toEqual([
      ...['frepo', 'kip', 'dc', 'rfad', 'trajectory'],
    ])
  })
})

describe('Adam in the trainer', () => {
  const rows = 6
  const set = {
    images: Float32Array.from(uniform(keyOf(3), 0, 1, rows * 128), (u) => 4 * u - 2),
    shape: [rows, 8, 8, 2] as const,
    labels: Int32Array.from({ length: rows }, (_, i) => i % 3),
    softLabels: Float32Array.from(uniform(keyOf(4), 0, 1, rows * 3), (u) => 2 * u - 1),
    squared: true,
    ...{ mean: [0, 0], std: [1, 1] },
  }
  const network = convNet({ input: [8, 8, 2], classes: 3, width: 8, depth: 1 })

  async function parameters(rule: Partial<TrainingRule>, epochs: number): Promise<number[]> {
    const own: TrainingRule = { batch: rows, momentum: 0, weightDecay: 0, lr: () => 0.01, ...rule }
    const trainer = new Trainer(device, {
      network,
      sets: [set],
      augment: parseAugment('none', true),
      key: keyOf(5),
      firstNetwork: 0,
      groups: 1,
      rule: own,
    })
    try {
      await trainer.initialize(device)
      if (epochs > 0) await trainer.train(0, epochs)
      return (await Promise.all(Object.values(trainer.networks.parameters).map((array) => array.read()))).flatMap((values) => [...values])
    } finally {
      trainer.dispose()
    }
  }

  it('moves every weight by the rate against the sign of its gradient at first', async () => {
    const start = await parameters({}, 0)
    const descended = await parameters({ lr: () => 1 }, 1)
    const adam = await parameters({ optimiser: 'adamw' }, 1)
    const errors = start.map((value, i) => {
      const gradient = value - descended[i]
      return Math.abs(gradient) < 1e-4 ? 0 : Math.abs(value - adam[i] - 0.01 * Math.sign(gradient))
    })
    expect(Math.max(...errors)).toBeLessThan(1e-5)
    const decayed = await parameters({ optimiser: 'adamw', weightDecay: 0.5 }, 1)
    expect(Math.max(...decayed.map((value, i) => Math.abs(value - adam[i] + 0.005 * start[i])))).toBeLessThan(1e-6)
  })

  it('takes the rate of every step', async () => {
    const start = await parameters({}, 0)
    const rule = { optimiser: 'adamw', stepFactor: (step: number) => (step === 1 ? 1 : 0) } as const
    expect(await parameters(rule, 1)).toEqual(start)
    const after = await parameters(rule, 2)
    expect(after).not.toEqual(start)
    expect(await parameters(rule, 3)).toEqual(after)
  })
})

describe("FRePo's augmentation", () => {
  const [height, width, count] = [16, 24, 200]
  const address = (step: number) => ({ key: keyOf(1), purpose: 7, step })
  const draws = (flip: boolean) =>
    Array.from({ length: 60 }, (_, step) => drawBatch(parseAugment('frepo', flip), address(step), count, height, width)).flatMap((theta) =>
      Array.from({ length: count }, (_, r) => [...theta.subarray(r * thetaSize, (r + 1) * thetaSize)]),
    )
  const within = (values: readonly number[], low: number, high: number, tolerance: number) => {
    const [least, most] = [Math.min(...values), Math.max(...values)]
    expect(least).toBeGreaterThanOrEqual(low - 1e-6)
    expect(most).toBeLessThanOrEqual(high + 1e-6)
    expect([least - low < tolerance, high - most < tolerance]).toEqual([true, true])
  }

  it('draws its operations in its ranges', () => {
    const all = draws(true)
    const of = (kind: number) => all.filter(([own]) => own === kind)
    within(
      of(1).map(([, brightness]) => brightness),
      -0.25,
      0.25,
      0.01,
    )
    for (const at of [2, 3])
      within(
        of(1).map((row) => Math.log(row[at])),
        -0.25,
        0.25,
        0.01,
      )
    expect(new Set(of(3).map(([, , , rows, columns]) => `${rows} ${columns}`))).toEqual(new Set(['4 6']))
    within(
      of(3).map(([, top]) => top),
      0,
      12,
      0.5,
    )
    within(
      of(3).map(([, , left]) => left),
      0,
      18,
      0.5,
    )
    expect(new Set(of(4).map(([, flipped]) => flipped))).toEqual(new Set([0, 1]))
    // shifts of an eighth of the side: a quarter of what counts from -1 to 1
    const moved = of(5).filter(([, a, b, , , e]) => a === 1 && b === 0 && e === 1)
    for (const at of [3, 6])
      within(
        moved.map((row) => row[at]),
        -0.25,
        0.25,
        0.01,
      )
    const zoomed = of(5).filter(([, a, b, , , e]) => a !== 1 && b === 0 && a === e)
    within(
      zoomed.map(([, a]) => 1 / a),
      0.8,
      1.25,
      0.02,
    )
    for (const [, a, , x, , , y] of zoomed) expect(Math.max(Math.abs(x), Math.abs(y))).toBeLessThanOrEqual(Math.abs(1 - a) + 1e-6)
    expect([moved, zoomed].every((rows) => rows.length > 0)).toBe(true)
  })

  it('mirrors nothing where a mirrored image is another class', () => {
    expect(draws(false).some(([kind]) => kind === 4)).toBe(false)
  })
})

describe('evaluate', () => {
  const dataset = stripes([40, 40, 40])
  const set = randomRealSet(dataset, 2, 0)
  const start = (options: Partial<EvaluateOptions<Device>>, source: typeof set | Parameters<typeof evaluate>[0] = set) =>
    evaluate(source, { networks: ['mlp'], repeats: 2, epochs: 300, test: dataset, device, ...options })

  it('trains towards targets, and towards centred rows where there are none', async () => {
    const centred = new Float32Array(18).map((_, i) => Number(i % 3 === set.labels[Math.floor(i / 3)]) - 1 / 3)
    const { save: _, ...fields } = set
    const [hard] = await start({ protocol: 'frepo' })
    const [soft] = await start({ protocol: 'frepo' }, { ...fields, targets: centred })
    expect(hard.training).toEqual({ protocol: 'frepo', labels: 'hard', learningRate: 3e-4, batch: 6 })
    expect(soft.training).toEqual({ protocol: 'frepo', labels: 'soft', learningRate: 3e-4, batch: 6 })
    expect(hard.values).toEqual(soft.values)
    expect(hard.mean).toBeGreaterThan(45)
  })

  it('gives a network the same accuracy in any grouping', async () => {
    const [two] = await start({ protocol: 'kip', epochs: 40 })
    const [one] = await start({ protocol: 'kip', epochs: 40, repeats: 1 })
    expect(two.values[0]).toBe(one.values[0])
  })
})

it('a rate by steps counts the steps that are taken where an epoch has rows of its own', async () => {
  const [many, few] = [1010, 6]
  const real = {
    images: Float32Array.from(uniform(keyOf(5), 0, 1, many * 128), (u) => 4 * u - 2),
    shape: [many, 8, 8, 2] as const,
    labels: Int32Array.from({ length: many }, (_, i) => i % 3),
    softLabels: Float32Array.from(uniform(keyOf(6), 0, 1, many * 3), (u) => 2 * u - 1),
    ...{ squared: true, mean: [0, 0], std: [1, 1] },
  }
  const part = {
    ...{ ...real, shape: [few, 8, 8, 2] as const, images: real.images.slice(0, few * 128) },
    ...{ labels: real.labels.slice(0, few), softLabels: real.softLabels.slice(0, few * 3) },
  }
  const network = convNet({ input: [8, 8, 2], classes: 3, width: 4, depth: 1, norm: 'none' })
  const protocol = protocolFor({ shape: [few], classes: ['a', 'b', 'c'] }, 'soft', 'frepo')
  const common = {
    network,
    groups: 1,
    augment: parseAugment('none', false),
    firstNetwork: 0,
    key: keyOf(1),
    schedule: { protocol, epochs: 2000 },
  }
  const weightsOf = async (
    more: Partial<ConstructorParameters<typeof Trainer>[1]> & Pick<ConstructorParameters<typeof Trainer>[1], 'sets'>,
  ) => {
    const trainer = new Trainer(device, { ...common, ...more })
    try {
      await trainer.initialize(device)
      // in the middle of the warm-up of 500 steps
      await trainer.train(250, 2)
      return [...((await trainer.networks.parameters['fc.weight'].read()) as Float32Array)]
    } finally {
      trainer.dispose()
    }
  }
  const rows = Int32Array.from({ length: few }, (_, i) => i)
  const [alone, among] = [await weightsOf({ sets: [part] }), await weightsOf({ sets: [real], rowsOf: () => rows })]
  for (const [i, weight] of among.entries()) expect(weight).toBeCloseTo(alone[i], 6)
  expect(among.some((weight, i) => weight !== 0 && alone[i] !== 0)).toBe(true)
})
