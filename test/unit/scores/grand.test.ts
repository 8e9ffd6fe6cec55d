/** @file Gradient norms of samples against gradients of one sample at a time. Values of a whole network: golden case scores_convnet. */
import { expect, it } from 'vitest'
import { grad, interpret, refTensor, reshape, softmaxCe, spec, sum, trace, type Value } from '../../../src/engine/index.js'
import type { Network } from '../../../src/nn/module.js'
import { convNet } from '../../../src/nn/networks/conv-net.js'
import { gradientNorms } from '../../../src/scores/grand.js'
import { randomMatrix } from './matrices.js'

const input = [4, 4, 1] as const
const samples = 3

const numbers = (size: number, seed: number) => [...randomMatrix(1, size, seed).data]
const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)

/** Parameters, then running statistics (variances are positive). */
function weightsOf(network: Network) {
  const tensors = [...network.parameters, ...network.state]
  const data = tensors.map(({ name, shape }, i) =>
    refTensor(
      [1, ...shape],
      numbers(sizeOf(shape), i).map((x) => (/var/i.test(name) ? 1 + x * x : x)),
    ),
  )
  const named = (values: readonly Value[]) => ({
    parameters: Object.fromEntries(network.parameters.map(({ name }, i) => [name, values[i]])),
    state: Object.fromEntries(network.state.map(({ name }, i) => [name, values[network.parameters.length + i]])),
  })
  return { data, named, specs: data.map(({ shape }) => spec(shape)) }
}

it.each(['instance', 'batch'] as const)('are those of every sample alone (%s norm)', (norm) => {
  const network = convNet({ input, classes: 2, depth: 1, width: 2, norm })
  const { data, named, specs } = weightsOf(network)
  const x = refTensor([samples, ...input], numbers(samples * 16, 99))
  const y = refTensor([samples], [0, 1, 1])
  const together = trace(
    (images, labels, ...values) => {
      const { parameters, state } = named(values)
      const { norm, squares } = gradientNorms(network, parameters, images, labels, network.state.length > 0 ? state : undefined)
      return [norm, ...Object.values(squares)]
    },
    [spec(x.shape), spec([samples], 'i32'), ...specs],
  )
  const alone = trace(
    (image, label, ...values) => {
      const { parameters, state } = named(values)
      const { logits } = network.apply(
        parameters,
        reshape(image, [1, 1, ...input]),
        network.state.length > 0 ? { mode: 'eval', state } : {},
      )
      return grad(sum(softmaxCe(logits, reshape(label, [1, 1])).loss), Object.values(parameters))
    },
    [spec([1, ...input]), spec([1], 'i32'), ...specs],
  )
  const [norms, ...squares] = interpret(together, [x, y, ...data])
  for (let i = 0; i < samples; i++) {
    const gradients = interpret(alone, [
      refTensor([1, ...input], [...x.data.subarray(16 * i, 16 * (i + 1))]),
      refTensor([1], [y.data[i]]),
      ...data,
    ])
    const wanted = gradients.map((gradient) => gradient.data.reduce((total, g) => total + g * g, 0))
    for (const [p, square] of wanted.entries()) expect(squares[p].data[i]).toBeCloseTo(square, 12)
    expect(norms.data[i]).toBeCloseTo(Math.sqrt(wanted.reduce((a, b) => a + b)), 12)
    expect(norms.data[i]).toBeGreaterThan(0.01)
  }
})

it('wants the running statistics of networks that have some', () => {
  const network = convNet({ input, classes: 2, depth: 1, width: 2, norm: 'batch' })
  const { named, specs } = weightsOf(network)
  const build = () =>
    trace(
      (x, y, ...values) => [gradientNorms(network, named(values).parameters, x, y).norm],
      [spec([1, ...input]), spec([1], 'i32'), ...specs],
    )
  expect(build).toThrow(expect.objectContaining({ code: 'invalid_option', message: expect.stringContaining('running statistics') }))
})
