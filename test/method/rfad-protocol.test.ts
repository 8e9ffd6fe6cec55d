/** @file The protocol of RFAD: its settings, outputs less those at the start against plain arithmetic, and the same through ONNX. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseAugment } from '../../src/augment/dsa.js'
import { createDataset } from '../../src/data/dataset.js'
import { add, matmul, reshape } from '../../src/engine/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { keyOf } from '../../src/engine/tensor/key.js'
import { uniform } from '../../src/engine/tensor/philox.js'
import { AccuracyMeter } from '../../src/evaluate/accuracy.js'
import { centredNetwork } from '../../src/evaluate/centred-network.js'
import { evaluate, randomRealSet } from '../../src/evaluate/index.js'
import { defaultProtocol, protocolFor } from '../../src/evaluate/protocol.js'
import { Trainer } from '../../src/evaluate/trainer.js'
import type { EvaluateOptions } from '../../src/experiment/types.js'
import type { Network } from '../../src/nn/module.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { stripes } from './contract.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const named = (count: number) => Array.from({ length: count }, (_, c) => String(c))

it.each([
  ['cifar10', 10, 10, 1e-3, 8, 0],
  ['cifar10', 10, 100, 1e-3, 2, 0],
  ['cifar10', 10, 200, 1e-3, 2, 0],
  ['cifar10', 10, 500, 1e-2, 2, 0],
  ['mnist', 10, 10, 1e-3, 8, 1e-3],
  ['fashion-mnist', 10, 500, 1e-3, 2, 0],
  ['svhn', 10, 10, 1e-3, 16, 0],
  ['cifar100', 100, 1000, 0.1, 2, 0],
  ['another', 10, 10, 1e-3, 8, 0],
  ['another', 200, 200, 0.1, 8, 0],
])('%s, %i classes, %i images: rate, scale and decay of the code', (name, classes, images, lr, labelScale, weightDecay) => {
  const protocol = protocolFor({ shape: [images, 8, 8, 3], classes: named(classes), source: { name } }, 'soft', 'rfad')
  expect([protocol.lr('conv-rfad'), protocol.labelScale, protocol.weightDecay]).toEqual([lr, labelScale, weightDecay])
  expect([protocol.momentum, protocol.optimiser, protocol.augment, protocol.network]).toEqual([0.9, 'sgd', 'none', 'conv-rfad'])
  expect(protocol.trained(protocol.epochs) * Math.ceil(images / Math.min(images, protocol.batch))).toBe(20_000)
  expect([0, 7, 19_999].map((step) => protocol.stepFactor?.(step, 20_000))).toEqual([1, 1, 1])
})

it('is the default for sets of rfad', () => {
  expect(defaultProtocol({ config: { method: 'rfad' } })).toBe('rfad')
})

describe('f(x) - f0(x)', () => {
  const [rows, d, k] = [4, 3, 2]
  /** y = x W + b */
  const linear: Network = {
    ...{ name: 'linear', input: [1, 1, d], classes: k },
    parameters: [
      { name: 'w', shape: [d, k], layout: 'linear', init: { kind: 'normal', std: 1 } },
      { name: 'b', shape: [k], layout: 'vector', init: { kind: 'normal', std: 1 } },
    ],
    state: [],
    apply(parameters, x) {
      const [groups, count] = x.shape
      const embedding = reshape(x, [groups, count, d])
      const logits = add(matmul(embedding, parameters.w), reshape(parameters.b, [groups, 1, k]))
      return { logits, embedding, taps: [], state: {} }
    },
  }
  const x = Float32Array.from(uniform(keyOf(1), 0, 1, rows * d), (u) => 2 * u - 1)
  const targets = Float32Array.from(uniform(keyOf(2), 0, 1, rows * k), (u) => u - 0.5)
  const set = {
    ...{ images: x, shape: [rows, 1, 1, d] as const, labels: new Int32Array(rows), softLabels: targets, squared: true },
    ...{ mean: [0, 0, 0], std: [1, 1, 1] },
  }
  const protocol = { ...protocolFor({ classes: named(k), source: { name: 'mnist' } }, 'soft', 'rfad'), lr: () => 0.3, weightDecay: 0.05 }
  const training = { sets: [set], groups: 1, augment: parseAugment('none', false), key: keyOf(3), firstNetwork: 0 }
  const own = { ...training, network: centredNetwork(linear), schedule: { protocol, epochs: 10 } }

  /** Changes of W and b after some steps of mean((x dW + db - s y)^2) / s^2 + decay (|dW|^2 + |db|^2), by SGD with momentum. */
  function byHand(steps: number, scale: number): Float64Array {
    const change = new Float64Array((d + 1) * k)
    const velocity = new Float64Array(change.length)
    const padded = (row: number, i: number) => (i === d ? 1 : x[row * d + i])
    for (let step = 0; step < steps; step++) {
      const gradient = change.map((value) => 2 * 0.05 * value)
      for (let row = 0; row < rows; row++)
        for (let c = 0; c < k; c++) {
          let error = -scale * targets[row * k + c]
          for (let i = 0; i <= d; i++) error += padded(row, i) * change[i * k + c]
          for (let i = 0; i <= d; i++) gradient[i * k + c] += (2 * error * padded(row, i)) / (rows * k * scale ** 2)
        }
      for (const [i, value] of gradient.entries()) {
        velocity[i] = 0.9 * velocity[i] + value
        change[i] -= 0.3 * velocity[i]
      }
    }
    return change
  }

  it('is trained as plain arithmetic says, whatever the network was drawn as', async () => {
    const trainer = new Trainer(device, own)
    try {
      await trainer.initialize(device)
      const read = async () => {
        const { w, b } = trainer.networks.parameters
        return [...((await w.read()) as Float32Array), ...((await b.read()) as Float32Array)]
      }
      const start = await read()
      expect(new Set(start).size).toBe(start.length)
      await trainer.train(0, 5)
      const wanted = byHand(5, 8)
      for (const [i, value] of (await read()).entries()) expect(value - start[i]).toBeCloseTo(wanted[i], 5)
      expect(Math.max(...wanted.map(Math.abs))).toBeGreaterThan(0.01)
      const kept = [...((await trainer.networks.state['start:w'].read()) as Float32Array)]
      expect(kept).toEqual(start.slice(0, d * k))
      // and tested so: the class is that of the largest change
      const classesOf = (values: ArrayLike<number>) =>
        Int32Array.from({ length: rows }, (_, row) => {
          const answer = (c: number) =>
            [...x.slice(row * d, (row + 1) * d), 1].reduce((sum, pixel, i) => sum + pixel * values[i * k + c], 0)
          return answer(0) >= answer(1) ? 0 : 1
        })
      const labels = classesOf(wanted)
      // which the network itself does not say
      expect([...classesOf(await read())]).not.toEqual([...labels])
      // pixels of bytes that are x up to rounding
      const bytes = Uint8Array.from(x, (value) => Math.round((value + 1) * 127.5))
      const about = { name: 'x', split: 'test' as const, classes: named(k), mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], flip: false }
      const test = createDataset({ ...about, images: bytes, shape: [rows, 1, 1, d], labels })
      const meter = new AccuracyMeter(device, own.network, test, 1, about)
      expect((await meter.measure(trainer.measured))[0].accuracy).toBe(100)
      meter.dispose()
    } finally {
      trainer.dispose()
    }
  })

  it('keeps running statistics of the network alone in training', async () => {
    const network = convNet({ input: [4, 4, 1], classes: 2, depth: 1, width: 4, norm: 'batch' })
    const images = Float32Array.from(uniform(keyOf(4), 0, 1, 4 * 16), (u) => 4 * u)
    const about = { labels: new Int32Array(4), softLabels: targets, squared: true, mean: [0], std: [1] }
    const trainer = new Trainer(device, { ...own, network: centredNetwork(network), sets: [{ ...about, images, shape: [4, 4, 4, 1] }] })
    try {
      await trainer.initialize(device)
      await trainer.train(0, 2)
      const { 'norm0.mean': mean, 'start:norm0.mean': start } = trainer.networks.state
      expect([...((await start.read()) as Float32Array)]).toEqual([0, 0, 0, 0])
      expect([...((await mean.read()) as Float32Array)].some((value) => value !== 0)).toBe(true)
    } finally {
      trainer.dispose()
    }
  })
})

describe('evaluate', () => {
  const dataset = stripes([40, 40, 40])
  const set = randomRealSet(dataset, 2, 0)
  const network = convNet({ input: dataset.shape.slice(1) as [number, number, number], classes: 3, depth: 1, width: 8, norm: 'none' })
  const start = (options: Partial<EvaluateOptions<Device>>) =>
    evaluate(set, { networks: [network], repeats: 2, epochs: 200, protocol: 'rfad', test: dataset, device, ...options })

  it('learns, tells its settings, and measures the same in ONNX Runtime', async () => {
    const [engine] = await start({ inference: 'engine' })
    expect(engine.training).toEqual({ protocol: 'rfad', labels: 'hard', learningRate: 1e-3, batch: 6, labelScale: 8, weightDecay: 0 })
    expect(engine.mean).toBeGreaterThan(45)
    const [onnx] = await start({ inference: 'onnx' })
    expect(onnx.inference).toBe('onnx')
    expect(onnx.values).toEqual(engine.values)
  })
})
