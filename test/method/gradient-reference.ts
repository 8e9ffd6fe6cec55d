/** @file The algorithm box of DC in float64, image by image from the draws' public addresses: what a run must come to. */
import { drawBatch, drawRow, parseAugment, thetaSize } from '../../src/augment/dsa.js'
import type { Dataset } from '../../src/data/dataset.js'
import { normalizeImages } from '../../src/data/normalize.js'
import { createSampler } from '../../src/data/sampler.js'
import { classUpdate, movedStatistics, parametersAsOutputs, stateAsOutputs } from '../../src/distill/gradient-step.js'
import { initialImages } from '../../src/distill/initial-images.js'
import { dc } from '../../src/distill/matching/dc.js'
import { networkUpdate } from '../../src/distill/network-training.js'
import { augment, fold, keyOf, permutation, purpose, reshape, type Value } from '../../src/engine/index.js'
import { float64Engine, type GoldenInput } from '../../src/golden/engines.js'
import { initialize, initialState, type Network } from '../../src/nn/module.js'

export interface ReferenceSettings {
  readonly network: Network
  readonly ipc: number
  readonly iterations: number
  readonly realBatch: number
  readonly seed: number
  readonly augment: string
  readonly init: 'real' | 'noise'
  readonly imageLr: number
  readonly outerLoop: number
  readonly innerLoop: number
  readonly networkLr: number
  readonly trainBatch: number
  readonly statisticsBatch: number
}

type Tensors = Record<string, GoldenInput>

export async function referenceRun(dataset: Dataset, settings: ReferenceSettings): Promise<{ images: number[]; losses: number[] }> {
  const { network, ipc, iterations, realBatch, seed, init, outerLoop, innerLoop, imageLr, networkLr, statisticsBatch } = settings
  const [height, width] = network.input
  const classes = dataset.classes.length
  const key = keyOf(seed)
  const policy = parseAugment(settings.augment, dataset.flip)
  const augmented = policy.operations.length > 0
  const real = createSampler({ dataset, perClass: realBatch, seed, purpose: purpose.realBatch })
  const [low, high] = fold(key, 'statistics')
  const ofStatistics = (BigInt(high) << 32n) | BigInt(low)
  const statistics = createSampler({ dataset, perClass: statisticsBatch, seed: ofStatistics, purpose: purpose.realBatch })
  const pixels = (rows: Int32Array) => tensor([rows.length, ...network.input], normalizeImages(dataset.subset(rows).images, dataset))
  const size = ipc * network.input.reduce((a, b) => a * b, 1)
  const start = (await initialImages(dataset, { ipc, init, seed })).images
  const sides = Array.from({ length: classes }, (_, c) => ({
    images: tensor([ipc, ...network.input], start.slice(c * size, (c + 1) * size)),
    velocity: tensor([ipc, ...network.input], new Float64Array(size)),
  }))
  const losses: number[] = []
  for (let iteration = 0; iteration < iterations; iteration++) {
    const address: Tensors = { key: tensor([2], fold(key, 'network'), 'u32'), counter: tensor([1], [iteration], 'u32') }
    let net = await float64Engine.run(
      (v) => ({
        ...parametersAsOutputs(initialize(network, { key: v.key, counter: v.counter })),
        ...stateAsOutputs(initialState(network)),
      }),
      address,
    )
    let total = 0
    for (let outer = 0; outer < outerLoop; outer++) {
      const step = iteration * outerLoop + outer
      if (network.state.length > 0) {
        const x = pixels(statistics.draw(step).filter((_, i) => statistics.weights[i] === 1))
        net = { ...net, ...(await float64Engine.run((v) => movedStatistics(network, v, v.x), { ...net, x })) }
      }
      const rows = real.draw(step)
      for (const [c, side] of sides.entries()) {
        const ofClass = rows.slice(c * realBatch, c * realBatch + real.counts[c])
        const theta = drawRow(policy, { key: fold(key, 'augment'), purpose: purpose.augment, step }, c, height, width)
        const inputs: Tensors = {
          ...net,
          ...side,
          real: pixels(ofClass),
          ...sideInputs('real', c, ofClass.length, theta),
          ...sideInputs('synthetic', c, ipc, theta),
        }
        const { loss, ...next } = await float64Engine.run((v) => {
          const batch = (x: Value, name: string) => ({
            images: reshape(augmented ? augment(x, v[`${name}Theta`]) : x, [1, ...x.shape]),
            classIndex: v[`${name}Labels`],
            counts: v[`${name}Count`],
          })
          const options = { metric: 'layer-cosine', layers: [1, 2] }
          const update = { method: dc, options, imageLr, imageMomentum: 0.5 }
          return classUpdate(update, network, v, { real: batch(v.real, 'real'), synthetic: batch(v.images, 'synthetic') })
        }, inputs)
        total += loss.data[0]
        sides[c] = { images: next.images, velocity: next.velocity }
      }
      if (outer === outerLoop - 1) break
      for (let inner = 0; inner < innerLoop; inner++) {
        const epoch = outer * innerLoop + inner
        const order = permutation(fold(key, 'inner-order', iteration), epoch, purpose.shuffle, classes * ipc)
        const batches = Math.ceil(order.length / settings.trainBatch)
        for (let b = 0; b < batches; b++) {
          const batch = order.slice(b * settings.trainBatch, (b + 1) * settings.trainBatch)
          const at = { key: fold(key, 'inner-augment', iteration), purpose: purpose.augment, step: epoch * batches + b }
          const shape = { network, classes: 1, ipc: batch.length, batch: batch.length, lr: networkLr }
          const inputs: Tensors = {
            ...net,
            x: tensor(
              [batch.length, ...network.input],
              [...batch].flatMap((row) => {
                const one = size / ipc
                return [...sides[Math.floor(row / ipc)].images.data.slice((row % ipc) * one, ((row % ipc) + 1) * one)]
              }),
            ),
            theta: tensor([batch.length, thetaSize], drawBatch(policy, at, batch.length, height, width)),
            labels: tensor(
              [1, batch.length],
              batch.map((row) => Math.floor(row / ipc)),
              'i32',
            ),
            weights: tensor([1, batch.length], new Float64Array(batch.length).fill(1 / batch.length)),
          }
          net = await float64Engine.run((v) => networkUpdate(shape, v, augmented ? augment(v.x, v.theta) : v.x), inputs)
        }
      }
    }
    losses.push(total / outerLoop)
  }
  return { images: sides.flatMap(({ images }) => [...images.data]), losses }
}

function tensor(shape: readonly number[], data: ArrayLike<number>, dtype: 'f32' | 'i32' | 'u32' = 'f32'): GoldenInput {
  return { shape, data: Float64Array.from(data), dtype }
}

const sideInputs = (name: string, label: number, rows: number, theta: Float32Array): Tensors => ({
  [`${name}Labels`]: tensor([rows], Array<number>(rows).fill(label), 'i32'),
  [`${name}Count`]: tensor([1], [rows]),
  [`${name}Theta`]: tensor(
    [rows, thetaSize],
    Array<Float32Array>(rows)
      .fill(theta)
      .flatMap((row) => [...row]),
  ),
})
