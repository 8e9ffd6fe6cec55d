/** @file Attention maps where they are delicate: rows of zeros and powers below 1; and gradient distances with padded rows. */
import { describe, expect, it } from 'vitest'
import { channelAttention, spatialAttention } from '../../../src/distill/matching/attention.js'
import { classGradients, gradientDistance, gradientMetrics } from '../../../src/distill/matching/gradient-distance.js'
import { grad, interpret, refTensor, spec, square, sum, trace, type Value } from '../../../src/engine/index.js'
import { keyOf } from '../../../src/engine/tensor/key.js'
import { normal } from '../../../src/engine/tensor/philox.js'
import { convNet } from '../../../src/nn/networks/conv-net.js'

const shape = [1, 2, 2, 2, 3]
/** The first image is all zeros, the second has zeros and one small activation. */
const maps = [...Array(12).fill(0), 0, 2, 0, 1, 0, 0, 3, 0, 1e-3, 0, 0, 5]

describe('attention', () => {
  it.each([0.5, 1, 2, 3, 4, 2.5])('p = %s: unit rows, zero rows stay zero, the gradient is finite', (p) => {
    for (const attention of [spatialAttention, channelAttention]) {
      const traced = trace(
        (f) => {
          const z = attention(f, p)
          return [sum(square(z), { axes: [1] }), ...grad(sum(square(square(z))), [f])]
        },
        [spec(shape)],
      )
      const [lengths, gradient] = interpret(traced, [refTensor(shape, maps)])
      expect([...lengths.data].map((x) => Number(x.toFixed(12)))).toEqual([0, 1])
      expect(gradient.data.every(Number.isFinite)).toBe(true)
      expect(gradient.data.subarray(0, 12).every((g) => g === 0)).toBe(true)
    }
  })

  it('the general power agrees with the multiplied one', () => {
    const values = (p: number) =>
      interpret(
        trace((f) => [spatialAttention(f, p)], [spec(shape)]),
        [refTensor(shape, maps)],
      )[0].data
    const multiplied = values(4)
    for (const [i, z] of values(4 + 1e-13).entries()) expect(z).toBeCloseTo(multiplied[i], 10)
  })
})

describe('gradient distance', () => {
  const network = convNet({ input: [4, 4, 1], classes: 2, depth: 1, width: 2 })
  const random = (seed: number, sizes: readonly number[]) => {
    const count = sizes.reduce((a, b) => a * b, 1)
    return refTensor(sizes, normal(keyOf(seed), 0, 1, count))
  }
  const parameters = network.parameters.map(({ shape: own }, i) => random(i, [1, ...own]))

  /** Distance of two sides of `rows` images a class; weights tell which count. */
  function distances(rows: number, weights: readonly number[], images: ReturnType<typeof refTensor>) {
    const specs = [images, random(90, [1, 2 * rows, 4, 4, 1]), ...parameters].map((t) => spec(t.shape))
    const index = Array.from({ length: 2 * rows }, (_, i) => Math.floor(i / rows))
    const per = [0, 1].map((c) => weights.slice(c * rows, (c + 1) * rows).reduce((a, b) => a + b))
    const more = [spec([2 * rows], 'i32'), spec([2, 1]), spec([2 * rows, 1])]
    const traced = trace(
      (x: Value, y: Value, ...rest: Value[]) => {
        const [classIndex, counts, rowWeights] = rest.slice(parameters.length)
        const named = Object.fromEntries(network.parameters.map(({ name }, i) => [name, rest[i]]))
        const side = (batch: Value) => classGradients(network, named, { images: batch, classIndex, counts, rowWeights }, 2).gradients
        return gradientMetrics.map((metric) => gradientDistance(metric, network.parameters, side(x), side(y)))
      },
      [...specs, ...more] as [ReturnType<typeof spec>, ...ReturnType<typeof spec>[]],
    )
    const values = [images, random(90, [1, 2 * rows, 4, 4, 1]), ...parameters]
    const results = interpret(traced, [...values, refTensor([2 * rows], index), refTensor([2, 1], per), refTensor([2 * rows, 1], weights)])
    return results.map(({ data }) => [...data])
  }

  it('is a number per class, and padded rows count nothing', () => {
    const [a, b] = [random(5, [1, 6, 4, 4, 1]), random(5, [1, 6, 4, 4, 1])]
    for (let i = 0; i < 16; i++) b.data[2 * 16 + i] = 100
    const weights = [1, 1, 0, 1, 1, 1]
    expect(distances(3, weights, a)).toEqual(distances(3, weights, b))
    expect(distances(3, [1, 1, 1, 1, 1, 1], a)).not.toEqual(distances(3, [1, 1, 1, 1, 1, 1], b))
    for (const perClass of distances(3, weights, a)) expect(perClass).toHaveLength(2)
  })
})
