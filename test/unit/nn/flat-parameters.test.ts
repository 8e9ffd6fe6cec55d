import { expect, test } from 'vitest'
import { engineToFlat, flatToEngine } from '../../../src/nn/flat-parameters.js'
import { parameterCount } from '../../../src/nn/module.js'
import { resolveNetwork } from '../../../src/nn/networks/registry.js'

const network = resolveNetwork('convnet', [32, 32, 3], 10)

test('a flat vector has 320,010 numbers for ConvNet-3 on CIFAR-10 and comes back as it was', () => {
  expect(parameterCount(network)).toBe(320_010)
  const flat = Float32Array.from({ length: 320_010 }, (_, i) => i)
  expect(engineToFlat(network, flatToEngine(network, flat))).toEqual(flat)
})

test('the order is that of PyTorch: the second number is the next column of the first kernel', () => {
  const [first] = network.parameters
  const engine = flatToEngine(
    network,
    Float32Array.from({ length: 320_010 }, (_, i) => i),
  )
  const [, width, channels, kernels] = first.shape
  expect(engine[first.name][0]).toBe(0)
  expect(engine[first.name][channels * kernels]).toBe(1)
  expect(engine[first.name][width * channels * kernels]).toBe(3)
  expect(engine[first.name][kernels]).toBe(9)
})

test('another length is refused with both numbers', () => {
  expect(() => flatToEngine(network, new Float32Array(5))).toThrow(/320010 numbers.*5/)
  expect(() => engineToFlat(network, {})).toThrow(/conv/)
})
