/** @file Kernels of random finite networks, drawn anew at every step (RFAD 2210.12067): their features side by side, as of one network. */
import { add, concat, full, matmul, mul, randomNormal, reshape, slice, stopGradient, type Value } from '../../engine/index.js'
import { firstParameterPurpose, type Network, type Parameters } from '../../nn/module.js'
import { normalStd } from '../../nn/networks/conv-net.js'

export interface RandomFeatures {
  /** Networks of a step. */
  readonly networks: number
  /** W² of the last layer, which the kernel is multiplied by, and b², which is added to it. RFAD: 2 and 0.01. */
  readonly weightVariance: number
  readonly biasVariance: number
}

/** Weights of variance 2 / fan_in, biases and what else is a vector of variance 0.01; the i-th of `networks` draws, [1, ...shape] each. */
export function drawNetworks(
  network: Network,
  { networks }: RandomFeatures,
  { key, counter }: { key: Value; counter: Value },
): Parameters[] {
  const drawn = network.parameters.map((spec, place) => {
    const values = randomNormal(key, counter, [networks, ...spec.shape], firstParameterPurpose + place)
    return { name: spec.name, values: mul(values, normalStd(spec)) }
  })
  return Array.from({ length: networks }, (_, i) =>
    Object.fromEntries(drawn.map(({ name, values }) => [name, slice(values, [i, ...zeros(values)], [i + 1, ...values.shape.slice(1)])])),
  )
}

const zeros = ({ shape }: Value): number[] => shape.slice(1).map(() => 0)

/** Networks of one kind that were drawn together. */
export interface DrawnNetworks {
  readonly network: Network
  readonly networks: readonly Parameters[]
}

/** Features [rows, d] of images [rows, H, W, C]: the input of the last linear layer. */
const featuresOf = (network: Network, parameters: Parameters, images: Value): Value => {
  const { embedding } = network.apply(parameters, reshape(images, [1, ...images.shape]))
  return reshape(embedding, embedding.shape.slice(1))
}

/** What multiplies a feature, so that products of rows are W² times their mean over all features. */
const scaleOf = ({ weightVariance, networks }: RandomFeatures, d: number): number => Math.sqrt(weightVariance / (networks * d))

/** phi [n, G d + 1] with phi phi^T = W² Phi Phi^T / (G d) + b². */
export function randomFeatures({ network, networks }: DrawnNetworks, options: RandomFeatures, images: Value): Value {
  const parts = networks.map((parameters) => featuresOf(network, parameters, images))
  const [n, d] = parts[0].shape
  const scaled = parts.map((part) => mul(part, scaleOf(options, d)))
  return concat([...scaled, full([n, 1], Math.sqrt(options.biasVariance))], 1)
}

/** phi(images) weights [m, k] for weights [G d + 1, k], network by network; no gradient goes into the images. */
export function randomAnswers({ network, networks }: DrawnNetworks, options: RandomFeatures, images: Value, weights: Value): Value {
  const [width, k] = weights.shape
  const d = (width - 1) / networks.length
  const parts = networks.map((parameters, i) => {
    const features = mul(stopGradient(featuresOf(network, parameters, images)), scaleOf(options, d))
    return matmul(features, slice(weights, [i * d, 0], [(i + 1) * d, k]), { precision: 'f32' })
  })
  const bias = mul(slice(weights, [width - 1, 0], [width, k]), Math.sqrt(options.biasVariance))
  return add(
    parts.reduce((a, b) => add(a, b)),
    bias,
  )
}
