/** @file Kernels of random features, against their formula written out. */
import { expect, it } from 'vitest'
import { drawNetworks, randomAnswers, randomFeatures } from '../../../../src/distill/regression/random-features.js'
import { concat, interpret, matmul, reshape, spec, trace } from '../../../../src/engine/index.js'
import { mlp } from '../../../../src/nn/networks/mlp.js'

const network = mlp({ input: [2, 2, 1], classes: 3, width: 4, depth: 2 })
const options = { networks: 3, weightVariance: 2, biasVariance: 0.01 }

it('a kernel of random features is W² times the mean product over all features, and b²; answers are its products with weights', () => {
  const [rows, width] = [5, 4]
  const features = options.networks * width
  const traced = trace(
    (key, counter, images, weights) => {
      const networks = drawNetworks(network, options, { key, counter })
      const phi = randomFeatures({ network, networks }, options, images)
      const plain = networks.map((parameters) => {
        const { embedding } = network.apply(parameters, reshape(images, [1, rows, 2, 2, 1]))
        return reshape(embedding, [rows, width])
      })
      const answered = randomAnswers({ network, networks }, options, images, weights)
      return [matmul(phi, phi, { transposeB: true }), concat(plain, 1), answered, matmul(phi, weights)]
    },
    [spec([2], 'u32'), spec([1], 'u32'), spec([rows, 2, 2, 1]), spec([features + 1, 2])],
  )
  const wave = (length: number) => Float64Array.from({ length }, (_, i) => Math.sin(3 * i + 1))
  const [kernel, phi, answered, product] = interpret(traced, [
    { shape: [2], data: Float64Array.of(5, 6) },
    { shape: [1], data: Float64Array.of(7) },
    { shape: [rows, 2, 2, 1], data: wave(rows * 4) },
    { shape: [features + 1, 2], data: wave(2 * features + 2) },
  ]).map(({ data }) => data)
  const dot = (i: number, j: number) =>
    Array.from({ length: features }, (_, k) => phi[i * features + k] * phi[j * features + k]).reduce((a, b) => a + b)
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < rows; j++) expect(kernel[i * rows + j]).toBeCloseTo((2 * dot(i, j)) / features + 0.01, 12)
  for (const [i, value] of answered.entries()) expect(value).toBeCloseTo(product[i], 12)
})
