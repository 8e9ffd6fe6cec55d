/** @file Kernels of infinite networks where formulas break: rows that coincide or are 0; gradients against differences. */
import { describe, expect, it } from 'vitest'
import { type InfiniteNetwork, infiniteKernel, infiniteKernelOf, kernelKinds } from '../../../../src/distill/regression/infinite-network.js'
import { grad, interpret, mul, spec, sum, trace, type Value } from '../../../../src/engine/index.js'

const [m, n, d] = [3, 4, 5]
const networks = kernelKinds.flatMap((kernel) =>
  [1, 3].map((depth): InfiniteNetwork => ({ kernel, depth, weightVariance: 2, biasVariance: 0.01 })),
)

/** Rows of noise; rows 1 and 2 of both sides are one. */
function rows(count: number, seed: number): Float64Array {
  const data = Float64Array.from({ length: count * d }, (_, i) => Math.sin(i * 1.7 + seed))
  for (const row of [1, 2]) data.set([0.3, -1.1, 0.8, 2.2, 0.5], row * d)
  return data
}

const run = (build: (...values: Value[]) => Value[], ...inputs: { shape: number[]; data: Float64Array }[]) =>
  interpret(
    trace(
      build,
      inputs.map(({ shape }) => spec(shape, 'f64')),
    ),
    inputs,
  ).map(({ data }) => data)

const cotangent = (k: Value): Value => sum(mul(k, k))
const left = { shape: [m, d], data: rows(m, 1) }
const right = { shape: [n, d], data: rows(n, 2) }

describe.each(networks)('$kernel of $depth hidden layers', (network) => {
  const values = (x: Float64Array) => run((a, b) => [infiniteKernel(network, a, b)], left, { shape: [n, d], data: x })[0]

  it('is the kernel of a set with itself, on the diagonal too', () => {
    const [own] = run((x) => [infiniteKernelOf(network, x)], right)
    const [pairs] = run((a, b) => [infiniteKernel(network, a, b)], right, right)
    for (const [i, value] of own.entries()) expect(value).toBeCloseTo(pairs[i], 6)
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) expect(own[i * n + j]).toBeCloseTo(own[j * n + i], 12)
  })

  it('has gradients that are finite where rows coincide, and those of differences elsewhere', () => {
    const [gradient] = run((a, b) => grad(cotangent(infiniteKernel(network, a, b)), [b]), left, right)
    expect(gradient.every(Number.isFinite)).toBe(true)
    const loss = (x: Float64Array) => values(x).reduce((total, k) => total + k * k, 0)
    const step = 1e-5
    for (const i of [0, 3, 3 * d, 3 * d + 4]) {
      const [plus, minus] = [step, -step].map((h) => loss(right.data.map((x, at) => (at === i ? x + h : x))))
      expect(gradient[i] / ((plus - minus) / (2 * step))).toBeCloseTo(1, 6)
    }
  })

  it('takes the diagonal of a set with itself from norms alone', () => {
    const [gradient] = run((x) => grad(cotangent(infiniteKernelOf(network, x)), [x]), right)
    const loss = (x: Float64Array) => run((v) => [cotangent(infiniteKernelOf(network, v))], { shape: [n, d], data: x })[0][0]
    const step = 1e-5
    for (const i of [1, 3 * d + 2]) {
      const [plus, minus] = [step, -step].map((h) => loss(right.data.map((x, at) => (at === i ? x + h : x))))
      expect(gradient[i] / ((plus - minus) / (2 * step))).toBeCloseTo(1, 6)
    }
  })

  it('is finite at images of zeros, with and without biases', () => {
    for (const biasVariance of [0, 0.01]) {
      const zeros = { shape: [n, d], data: new Float64Array(n * d) }
      const own = { ...network, biasVariance }
      const [k, gradient] = run(
        (a, b) => {
          const kernel = infiniteKernel(own, a, b)
          return [kernel, ...grad(cotangent(kernel), [b])]
        },
        zeros,
        zeros,
      )
      expect([k.every(Number.isFinite), gradient.every(Number.isFinite)]).toEqual([true, true])
    }
  })
})
