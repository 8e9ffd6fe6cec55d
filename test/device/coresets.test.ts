/** @file Coreset baselines and soft labels: which images are chosen, who answers for them, and what networks are trained towards. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Device } from '../../src/engine/runtime/device.js'
import { keyOf } from '../../src/engine/tensor/key.js'
import { evaluate } from '../../src/evaluate/evaluate.js'
import { herdingSet, kCenterSet } from '../../src/evaluate/feature-coresets.js'
import { randomRealSet } from '../../src/evaluate/random-real.js'
import { scoredSet } from '../../src/evaluate/scored-set.js'
import { probabilities, withSoftLabels } from '../../src/evaluate/soft-labels.js'
import { subsetSet } from '../../src/evaluate/subset-set.js'
import { modelTeacher, networkTeacher } from '../../src/evaluate/teacher.js'
import { trainModels } from '../../src/evaluate/trained-models.js'
import { Trainer } from '../../src/evaluate/trainer.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { runtimePath } from '../../src/onnx/index.js'
import { stripes } from '../method/contract.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const train = stripes([9, 8, 7])
const [, height, width, channels] = train.shape
const perClass = (rows: Int32Array | undefined) => [0, 1, 2].map((c) => [...(rows ?? [])].filter((row) => train.labels[row] === c).length)

describe('coresets', () => {
  it('take the smallest or largest scores of each class, the first of equal ones', () => {
    const scores = Float64Array.from(train.labels, (_, row) => (row * 7) % 5)
    const best = (order: 'asc' | 'desc') =>
      [0, 1, 2].flatMap((c) => {
        const members = [...train.classIndices(c)].sort((a, b) => (order === 'asc' ? 1 : -1) * (scores[a] - scores[b]) || a - b)
        return members.slice(0, 3)
      })
    expect([...(scoredSet(train, 3, scores, { score: 'loss' }).sourceIds ?? [])]).toEqual(best('asc'))
    expect([...(scoredSet(train, 3, scores, { score: 'loss', order: 'desc' }).sourceIds ?? [])]).toEqual(best('desc'))
    expect(scoredSet(train, 3, scores, { score: 'loss' }).config).toMatchObject({ method: 'scored', score: 'loss', order: 'asc', ipc: 3 })
  })

  it('refuse scores of other data, scores that are none, and classes that are too small', () => {
    const scores = new Float64Array(train.labels.length)
    const none = scores.map(() => Number.NaN)
    for (const [act, code] of [
      [() => scoredSet(train, 3, scores.subarray(1), { score: 'loss' }), 'invalid_option'],
      [() => scoredSet(train, 8, scores, { score: 'loss' }), 'invalid_option'],
      [() => scoredSet(train, 3, none, { score: 'loss' }), 'not_finite'],
      [() => scoredSet(train, 3, scores, { score: 'loss', order: 'up' as 'asc' }), 'invalid_option'],
    ] as const) {
      expect(act).toThrow(expect.objectContaining({ code }))
    }
  })

  it('by k-center are different images, as many of each class, and the same ones again', async () => {
    const set = await kCenterSet(train, 4, { device, epochs: 2 })
    expect(perClass(set.sourceIds)).toEqual([4, 4, 4])
    expect(new Set(set.sourceIds).size).toBe(12)
    expect((await kCenterSet(train, 4, { device, epochs: 2 })).sourceIds).toEqual(set.sourceIds)
    expect((await herdingSet(train, 4, { device, epochs: 2 })).sourceIds).not.toEqual(set.sourceIds)
    await expect(kCenterSet(train, 9, { device })).rejects.toMatchObject({ code: 'invalid_option' })
  })

  it('of a subset are its images, class by class', async () => {
    const part = train.subset(Int32Array.of(20, 1, 10, 2))
    const set = subsetSet(part)
    expect([...set.labels]).toEqual([...set.labels].sort((a, b) => a - b))
    expect(set.shape[0]).toBe(4)
    expect(() => subsetSet(train.subset(Int32Array.of(0, 1)))).toThrow(expect.objectContaining({ code: 'invalid_option' }))
    const [{ n }] = await evaluate(set, { networks: ['mlp'], repeats: 2, epochs: 2, augment: 'none', test: train, device })
    expect(n).toBe(2)
  })
})

describe('soft labels', () => {
  const set = randomRealSet(train, 4, 0)

  it('of certainty train as the labels do', async () => {
    const network = convNet({ input: [height, width, channels], classes: 3, depth: 1, width: 8 })
    const certain = new Float32Array(3 * 12)
    for (const [row, label] of set.labels.entries()) certain[3 * row + label] = 1
    const losses = async (softLabels?: Float32Array) => {
      const own = { ...set, ...(softLabels && { softLabels }) }
      const options = { network, sets: [own, own], groups: 2, augment: { operations: [] }, key: keyOf(1), firstNetwork: 0 }
      const trainer = new Trainer(device, options)
      await trainer.initialize(device)
      const last = await trainer.train(0, 10)
      trainer.dispose()
      return [...last]
    }
    const hard = await losses()
    const soft = await losses(certain)
    for (const [i, loss] of hard.entries()) expect(soft[i]).toBeCloseTo(loss, 5)
    // Targets that tell nothing: the loss cannot fall below log 3.
    for (const loss of await losses(certain.map(() => 1 / 3))) expect(loss).toBeGreaterThan(Math.log(3) - 1e-4)
  })

  it('of a network that was trained on the real images know their classes', async () => {
    const teacher = await networkTeacher(train, { device, epochs: 40, seed: 3 })
    const { softLabels = new Float32Array() } = await withSoftLabels(set, teacher)
    teacher.dispose()
    const right = [...set.labels].filter((label, row) => {
      const own = [...softLabels.subarray(3 * row, 3 * row + 3)]
      return own.indexOf(Math.max(...own)) === label
    }).length
    expect(right).toBeGreaterThanOrEqual(11)
    const [result] = await evaluate(
      { ...set, softLabels },
      { networks: ['convnet'], repeats: 2, epochs: 30, augment: 'none', test: train, device },
    )
    expect(result.mean).toBeGreaterThan(60)
  })

  it.skipIf(runtimePath() === undefined)('of an ONNX model are those of its network, from its path or bytes', async () => {
    const models: Uint8Array[] = []
    const training = { networks: ['mlp'], repeats: 1, epochs: 5, augment: 'none', device }
    await trainModels(set, training, ({ bytes }) => {
      models.push(bytes)
    })
    const image = [height, width, channels] as const
    const teacher = await modelTeacher(models[0], { device, image, classes: train.classes })
    const { softLabels = new Float32Array() } = await withSoftLabels(set, teacher)
    teacher.dispose()
    expect(softLabels.length).toBe(36)
    for (let row = 0; row < 12; row++) expect(softLabels.subarray(3 * row, 3 * row + 3).reduce((a, b) => a + b)).toBeCloseTo(1, 5)
    await expect(modelTeacher(models[0], { device, image, classes: ['a', 'b', 'c'] })).rejects.toMatchObject({ code: 'invalid_data' })
  })

  it('are finite for logits of any size, and refused unless they are probabilities', async () => {
    expect([...probabilities(Float32Array.of(1e4, 0, -1e4), 3)]).toEqual([1, 0, 0])
    const options = { networks: ['mlp'], epochs: 1, test: train, device }
    for (const softLabels of [
      new Float32Array(35),
      new Float32Array(36),
      new Float32Array(36).fill(Number.NaN),
      new Float32Array(36).map((_, i) => [2, -1, 0][i % 3]),
    ]) {
      await expect(evaluate({ ...set, softLabels }, options)).rejects.toMatchObject({ code: 'invalid_data' })
    }
  })
})
