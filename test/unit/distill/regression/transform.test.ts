/** @file RFAD's matrix over the pixels: nothing as the identity, and its gradient beside that of the images against finite differences. */
import { describe, expect, it } from 'vitest'
import type { LabelRegression } from '../../../../src/distill/regression/label-settings.js'
import { labelGradients } from '../../../../src/distill/regression/label-step.js'
import { fold, interpret, keyOf, type RefTensor, sizeOf, spec, trace, uniform } from '../../../../src/engine/index.js'
import { convNet } from '../../../../src/nn/networks/conv-net.js'

const [n, m, k, side] = [4, 6, 2, 4]
const d = side * side
const network = convNet({ input: [side, side, 1], classes: k, depth: 1, width: 4, norm: 'none', activation: 'sigmoid' })
const settings: LabelRegression = {
  targets: 'labels',
  source: { kind: 'random', features: { networks: 2, weightVariance: 2, biasVariance: 0.01 } },
  ridge: { c: 5e-2, scale: 'meanTrace', detach: false },
  ...{ loss: 'half-mse', logScale: 0, logScaleLr: 0.01, learnedLabels: false, labelScale: 'one', labelMargin: false },
  ...{ mirrored: false, optimiser: 'adabelief', lrEnd: 1, draws: 'shuffled', transform: { lr: 5e-5 } },
}

const random = (title: string, shape: readonly number[], scale = 1): RefTensor => ({
  shape,
  data: uniform(fold(keyOf(2), title), 0, 1, sizeOf(shape)).map((u) => scale * (2 * u - 1)),
})
const images = random('images', [n, side, side, 1])
const targets = random('targets', [n, k])
const real = random('real', [m, side, side, 1])
const identity = { shape: [d, d], data: Float64Array.from({ length: d * d }, (_, i) => Number(i % (d + 1) === 0)) }
const drawn = random('transform', [d, d], 0.2)
const transform = { shape: [d, d], data: identity.data.map((value, i) => value + drawn.data[i]) }

/** [loss, gradient of the images, gradient of the matrix, where there is one]. */
function step(x: RefTensor, matrix?: RefTensor): Float64Array[] {
  const inputs = [x, targets, real, { shape: [m], data: Float64Array.from({ length: m }, (_, i) => i % k) }]
  const keys = [
    { shape: [2], data: Float64Array.from(keyOf(9)) },
    { shape: [1], data: Float64Array.of(3) },
    { shape: [], data: Float64Array.of(0) },
  ]
  const program = trace(
    (images, targets, real, classes, key, counter, logScale, transform) => {
      const frozen = { parameters: {}, state: {} }
      const batch = { images, targets, real, classes, logScale, draw: { key, counter }, frozen, ...(transform && { transform }) }
      const { loss, images: pixels, transform: across } = labelGradients(network, batch, settings)
      return [loss, pixels, ...(across ? [across] : [])]
    },
    [
      ...[x, targets, real].map(({ shape }) => spec(shape)),
      ...[spec([m], 'i32'), spec([2], 'u32'), spec([1], 'u32'), spec([])],
      ...(matrix ? [spec([d, d])] : []),
    ],
  )
  return interpret(program, [...inputs, ...keys, ...(matrix ? [matrix] : [])]).map(({ data }) => Float64Array.from(data))
}

describe("RFAD's matrix over the pixels", () => {
  it('changes nothing as the identity', () => {
    const [[loss], pixels] = step(images)
    const [[same], alike] = step(images, identity)
    expect(same).toBeCloseTo(loss, 10)
    for (const [i, value] of alike.entries()) expect(value).toBeCloseTo(pixels[i], 10)
  })

  it('has the gradient of finite differences, and so have images behind it', () => {
    const [, pixels, across] = step(images, transform)
    for (const [tensor, gradient, at] of [
      [images, pixels, (x: RefTensor) => step(x, transform)[0][0]],
      [transform, across, (x: RefTensor) => step(images, x)[0][0]],
    ] as const) {
      const direction = random(`direction ${tensor.shape}`, tensor.shape).data
      const along = (h: number) => at({ shape: tensor.shape, data: tensor.data.map((value, i) => value + h * direction[i]) })
      const h = 1e-3
      const slope = gradient.reduce((sum, value, i) => sum + value * direction[i], 0)
      expect(Math.abs(slope)).toBeGreaterThan(1e-4)
      expect((along(h) - along(-h)) / (2 * h)).toBeCloseTo(slope, 4)
    }
  })
})
