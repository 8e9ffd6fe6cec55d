/** @file The protocol 'trajectory' against a training loop written out in float64: learned labels, learned rate, batches, the drop. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Device } from '../../src/engine/runtime/device.js'
import { fold, keyOf } from '../../src/engine/tensor/key.js'
import { uniform } from '../../src/engine/tensor/philox.js'
import { evaluate } from '../../src/evaluate/index.js'
import { protocolFor } from '../../src/evaluate/protocol.js'
import { epochOrder } from '../../src/evaluate/schedule.js'
import { planTraining, type TrainingOptions, trainNetworks } from '../../src/evaluate/train-networks.js'
import { Trainer } from '../../src/evaluate/trainer.js'
import { Turn } from '../../src/event-loop.js'
import { createSyntheticSet } from '../../src/experiment/synthetic-set.js'
import type { SyntheticSet, SyntheticSetFields } from '../../src/experiment/types.js'
import { mlp } from '../../src/nn/networks/mlp.js'
import { stripes } from './contract.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const input = [4, 4, 1] as const
const features = 16
const classes = 3
/** More rows than a batch of soft labels, so that the last batch of an epoch is short, and fewer than one of hard labels. */
const rows = 150
/** The linear layer alone: its gradients are short enough to be written out. */
const network = mlp({ input, classes, depth: 1 })

const draws = (purpose: number, count: number, scale: number) =>
  Float32Array.from(uniform(keyOf(11), 0, purpose, count), (u) => scale * (2 * u - 1))

const fields: SyntheticSetFields = {
  images: draws(1, rows * features, 1.5),
  shape: [rows, ...input],
  labels: Int32Array.from({ length: rows }, (_, i) => Math.floor((i * classes) / rows)),
  classes: ['a', 'b', 'c'],
  mean: [0],
  std: [1],
  flip: false,
  source: { name: 'drawn', split: 'train', sha256: '00' },
  config: { method: 'drawn', ipc: 50 },
}
const labelLogits = draws(2, rows * classes, 4)
const learningRate = 0.0371
const epochs = 6
const options = (): TrainingOptions => ({ networks: [network], repeats: 1, epochs, augment: 'none', seed: 3, device })
const key = fold(keyOf(3), 'evaluate', network.name)

const softmax = (z: readonly number[]): number[] => {
  const powers = z.map((v) => Math.exp(v - Math.max(...z)))
  const total = powers.reduce((a, b) => a + b)
  return powers.map((v) => v / total)
}

/** The parameters that network 0 starts from: weight [16, 3], bias [3]. */
async function initial(): Promise<number[][]> {
  const trainer = new Trainer(device, { network, sets: [fields], groups: 1, augment: { operations: [] }, key, firstNetwork: 0 })
  try {
    await trainer.initialize(device)
    return await Promise.all(network.parameters.map(async ({ name }) => Array.from(await trainer.networks.parameters[name].read(), Number)))
  } finally {
    trainer.dispose()
  }
}

/** What the gradient of a row's loss takes the target from: probabilities under cross-entropy, the logits themselves under half the squared distance. */
type Answers = (logits: readonly number[]) => readonly number[]

/** Section 9 of the specification, in float64: E + 1 passes; from epoch E/2 + 2 on a tenth of the rate, with a fresh momentum. */
async function reference(
  targets: readonly (readonly number[])[],
  lr: number,
  batch: number,
  answers: Answers = softmax,
): Promise<number[]> {
  const [weight, bias] = await initial()
  let velocity = [weight, bias].map((values) => values.map(() => 0))
  let rate = lr
  for (let epoch = 0; epoch <= epochs; epoch++) {
    if (epoch === epochs / 2 + 2) {
      rate = lr * 0.1
      velocity = [weight, bias].map((values) => values.map(() => 0))
    }
    const order = [...(await epochOrder(key, 0, epoch, rows, new Turn()))]
    for (let begin = 0; begin < rows; begin += batch) {
      const own = order.slice(begin, begin + batch)
      const gradients = [weight, bias].map((values) => values.map(() => 0))
      for (const row of own) {
        const x = Array.from(fields.images.subarray(row * features, (row + 1) * features))
        const p = answers(bias.map((b, k) => x.reduce((sum, value, f) => sum + value * weight[f * classes + k], b)))
        for (const [k, probability] of p.entries()) {
          const error = (probability - targets[row][k]) / own.length
          gradients[1][k] += error
          for (const [f, value] of x.entries()) gradients[0][f * classes + k] += error * value
        }
      }
      for (const [p, values] of [weight, bias].entries()) {
        for (const [i, value] of values.entries()) {
          velocity[p][i] = 0.9 * velocity[p][i] + gradients[p][i] + 5e-4 * value
          values[i] = value - rate * velocity[p][i]
        }
      }
    }
  }
  return [...weight, ...bias]
}

/** What the product trains to. */
async function trained(set: SyntheticSet, chosen: Partial<TrainingOptions> = {}): Promise<{ parameters: number[]; batch: number }> {
  const plan = planTraining('test', set, { ...options(), ...chosen })
  let parameters: number[] = []
  await trainNetworks(plan, plan.networks[0], () => ({
    async use(networks) {
      const read = await Promise.all(network.parameters.map(({ name }) => networks.parameters[name].read()))
      parameters = read.flatMap((values) => Array.from(values, Number))
    },
    dispose: () => undefined,
  }))
  return { parameters, batch: plan.protocol.batch }
}

const softTargets = Array.from({ length: rows }, (_, i) => softmax(Array.from(labelLogits.subarray(i * classes, (i + 1) * classes))))
const hardTargets = Array.from(fields.labels, (label) => [0, 1, 2].map((k) => Number(k === label)))

function expectClose(actual: readonly number[], wanted: readonly number[]): void {
  const largest = Math.max(...wanted.map(Math.abs))
  expect(Math.max(...actual.map((value, i) => Math.abs(value - wanted[i]))) / largest).toBeLessThan(2e-6)
}

describe('networks end where the float64 loop does', () => {
  it('by default on a set with labels and rate learned: both, in batches of 128', async () => {
    const { parameters, batch } = await trained(createSyntheticSet({ ...fields, labelLogits, learningRate }))
    expect(batch).toBe(128)
    expectClose(parameters, await reference(softTargets, learningRate, 128))
  })

  it('on a rate learned for hard labels, in batches of 256', async () => {
    const { parameters, batch } = await trained(createSyntheticSet({ ...fields, learningRate }))
    expect(batch).toBe(256)
    expectClose(parameters, await reference(hardTargets, learningRate, 256))
  })

  it("with labels: 'hard' as on a set without logits", async () => {
    const { parameters } = await trained(createSyntheticSet({ ...fields, labelLogits, learningRate }), { labels: 'hard' })
    expect(parameters).toEqual((await trained(createSyntheticSet({ ...fields, learningRate }))).parameters)
  })

  it('on soft labels at the rate 0.01 where none was learned', async () => {
    const { parameters } = await trained(createSyntheticSet({ ...fields, labelLogits }), { protocol: 'trajectory' })
    expectClose(parameters, await reference(softTargets, 0.01, 128))
  })

  it("on soft labels under 'dc', which knows no learned rate and batches of 256", async () => {
    const { parameters } = await trained(createSyntheticSet({ ...fields, labelLogits, learningRate }), { protocol: 'dc' })
    expectClose(parameters, await reference(softTargets, 0.01, 256))
  })

  it("by squared errors towards a set's targets, and towards its classes with labels: 'hard'", async () => {
    const targets = draws(6, rows * classes, 1)
    const set = createSyntheticSet({ ...fields, targets })
    const wanted = Array.from({ length: rows }, (_, i) => Array.from(targets.subarray(i * classes, (i + 1) * classes)))
    expectClose((await trained(set)).parameters, await reference(wanted, 0.01, 256, (logits) => logits))
    expect((await trained(set, { labels: 'hard' })).parameters).toEqual((await trained(createSyntheticSet(fields))).parameters)
  })

  it('on the answers of a teacher before the labels of the set', async () => {
    const softLabels = Float32Array.from(hardTargets.flat())
    const set = { ...createSyntheticSet({ ...fields, labelLogits, learningRate }), softLabels }
    expectClose((await trained(set)).parameters, await reference(hardTargets, learningRate, 128))
  })
})

describe('evaluate', () => {
  const test = stripes([6, 6, 6])
  const [, h, w, c] = test.shape
  const images = draws(4, 6 * h * w * c, 1)
  const set = (change: Partial<SyntheticSetFields> = {}) =>
    createSyntheticSet({
      ...{ ...fields, images, shape: [6, h, w, c], labels: Int32Array.of(0, 0, 1, 1, 2, 2), mean: test.mean, std: test.std },
      ...{ classes: test.classes, ...change },
    })
  const settings = () => ({ networks: ['mlp'], repeats: 2, epochs: 2, test, device })

  it('says how networks were trained', async () => {
    const learned = set({ labelLogits: draws(5, 18, 1), learningRate })
    const trainingOf = async (source: Parameters<typeof evaluate>[0], more = {}) =>
      (await evaluate(source, { ...settings(), ...more }))[0].training
    const rate = Math.fround(learningRate)
    expect(await trainingOf(learned)).toEqual({ protocol: 'trajectory', labels: 'soft', learningRate: rate, batch: 6 })
    expect(await trainingOf(learned, { labels: 'hard' })).toMatchObject({ labels: 'hard', learningRate: rate })
    expect(await trainingOf(learned, { protocol: 'dc' })).toMatchObject({ protocol: 'dc', labels: 'soft', learningRate: 0.01 })
    expect(await trainingOf(set())).toMatchObject({ protocol: 'dc', labels: 'hard' })
    const drawn = { protocol: 'trajectory', labels: 'hard', learningRate: 0.01 }
    expect(await trainingOf(() => set(), { protocol: 'trajectory' })).toMatchObject(drawn)
  })

  it('refuses soft labels of a set that has none, and other kinds', async () => {
    const refused = (labels: unknown) => evaluate(set(), { ...settings(), labels: labels as 'soft' })
    await expect(refused('soft')).rejects.toMatchObject({ code: 'invalid_option', message: expect.stringContaining('label logits') })
    await expect(refused('smooth')).rejects.toMatchObject({ code: 'invalid_option', message: expect.stringMatching(/'soft' or 'hard'/) })
  })

  it('refuses sets of different rates, or soft beside hard, for networks of one name', async () => {
    const redrawn = (change: (i: number) => Partial<SyntheticSetFields>) => evaluate((i) => set(change(i)), settings())
    await expect(redrawn((i) => ({ learningRate: 0.01 + i }))).rejects.toMatchObject({ code: 'invalid_data' })
    await expect(redrawn((i) => (i ? {} : { labelLogits: draws(5, 18, 1) }))).rejects.toMatchObject({ code: 'invalid_data' })
  })
})

it('a named protocol is kept, the default follows the set', () => {
  expect(protocolFor({ learningRate: 0.2 }, 'soft')).toMatchObject({ name: 'trajectory', batch: 128 })
  expect(protocolFor({}, 'soft').name).toBe('dc')
  expect(protocolFor({ learningRate: 0.2 }, 'hard', 'glad').lr('convnet')).toBe(1e-3)
  const trajectory = protocolFor({ learningRate: 0.2 }, 'hard')
  expect([trajectory.trained(1000), trajectory.lr('vgg11'), trajectory.batch]).toEqual([1001, 0.2, 256])
})
