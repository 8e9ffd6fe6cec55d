/** @file Ridge regression on the interpreter: routes agree, gradients meet finite differences, and bad input is named. */
import { describe, expect, it } from 'vitest'
import { dot, grad, gram, interpret, keyOf, matmul, type RefTensor, spec, trace, uniform, type Value } from '../../../src/engine/index.js'
import {
  checkRidgeReport,
  kernelRidgeSolve,
  type Ridge,
  type RidgeLoss,
  repeatedRows,
  ridgeHead,
  ridgeLoss,
  ridgeReport,
} from '../../../src/ridge/index.js'

const [n, d, k, m] = [5, 7, 3, 4]
const matrix = (rows: number, columns: number, purpose: number): RefTensor => ({
  shape: [rows, columns],
  data: uniform(keyOf(3), 0, purpose, rows * columns).map((u) => 2 * u - 1),
})
const inputs = [matrix(n, d, 1), matrix(n, k, 2), matrix(m, d, 3), matrix(m, k, 4)]
const f64 = ({ shape }: RefTensor) => spec(shape, 'f64')
const trainable: Ridge = { c: 0.01, scale: 'trace', detach: false }

function run(x: readonly RefTensor[], build: (...v: Value[]) => readonly Value[]): readonly RefTensor[] {
  return interpret(
    trace((...v) => build(...(v as Value[])), x.map(f64)),
    x,
  )
}

const lossOf =
  (ridge: Ridge, loss: RidgeLoss, route: 'dual' | 'primal' | 'kernel') => (phi: Value, y: Value, real: Value, target: Value) => {
    const predictions =
      route === 'kernel'
        ? matmul(matmul(real, phi, { transposeB: true }), kernelRidgeSolve(gram(phi), y, ridge).coefficients)
        : matmul(real, ridgeHead(phi, y, ridge, { route }).weights)
    return ridgeLoss(predictions, target, loss)
  }

const routes = ['dual', 'primal', 'kernel'] as const

describe.each(routes)('%s route', (route) => {
  it.each([
    ['trace', 'mse'],
    ['meanTrace', 'half-mse'],
    ['absolute', 'half-squares'],
    ['trace', { ce: 0.5 }],
  ] as const)('has the gradient of finite differences: %s, %s', (scale, loss) => {
    const of = lossOf({ c: 0.01, scale, detach: false }, loss, route)
    const gradients = run(inputs, (...v) => grad(of(...(v as [Value, Value, Value, Value])), v.slice(0, 3)))
    const value = (x: readonly RefTensor[]) => run(x, (...v) => [of(...(v as [Value, Value, Value, Value]))])[0].data[0]
    for (const [i, { data }] of gradients.entries()) {
      const direction = matrix(inputs[i].shape[0], inputs[i].shape[1], 10 + i).data
      const moved = (step: number) =>
        inputs.map((x, j) => (i === j ? { shape: x.shape, data: x.data.map((v, q) => v + step * direction[q]) } : x))
      const difference = (value(moved(1e-5)) - value(moved(-1e-5))) / 2e-5
      const exact = data.reduce((sum, g, q) => sum + g * direction[q], 0)
      expect(Math.abs(exact - difference)).toBeLessThan(1e-8 * (1 + Math.abs(difference)))
    }
  })

  it('leaves a detached ridge out of the gradient', () => {
    const gradients = [true, false].map(
      (detach) =>
        run(inputs, (...v) => grad(lossOf({ ...trainable, detach }, 'mse', route)(...(v as [Value, Value, Value, Value])), [v[0]]))[0].data,
    )
    expect(gradients[0]).not.toEqual(gradients[1])
  })
})

it('agrees between the routes', () => {
  const [dual, primal] = (['dual', 'primal'] as const).map(
    (route) => run(inputs, (phi, y) => [ridgeHead(phi, y, trainable, { route }).weights])[0].data,
  )
  for (const [i, w] of dual.entries()) expect(Math.abs(w - primal[i])).toBeLessThan(1e-10)
})

it('takes the primal route where features are fewer than rows', () => {
  const traced = trace((phi, y) => [ridgeHead(phi as Value, y as Value, trainable).weights], [spec([9, 4], 'f32'), spec([9, 2], 'f32')])
  expect(traced.outputs[0].shape).toEqual([4, 2])
  trace(
    (phi, y) => {
      expect(ridgeHead(phi as Value, y as Value, trainable).coefficients).toBeUndefined()
      return [phi as Value]
    },
    [spec([9, 4], 'f32'), spec([9, 2], 'f32')],
  )
})

it('solves for a column of zeros, and for repeated rows', async () => {
  const phi = { shape: [n, d], data: Float64Array.from(inputs[0].data, (_, i) => inputs[0].data[i % (2 * d)]) }
  const y = { shape: [n, k], data: inputs[1].data.map((v, i) => (i % k === 1 ? 0 : v)) }
  const [weights, info] = run([phi, y], (a, b) => {
    const head = ridgeHead(a, b, { c: 1e-6, scale: 'trace', detach: true })
    return [head.weights, head.info]
  })
  expect(weights.data.filter((_, i) => i % k === 1).every((w) => w === 0)).toBe(true)
  const report = ridgeReport(info.data)
  expect(report.failedTries).toBe(0)
  expect(report.share).toBeCloseTo(1e-6, 12)
  expect(report.residual).toBeLessThan(1e-8)
  expect(report.condition).toBeGreaterThan(1e3)
  expect(await repeatedRows(phi.data, n, d)).toEqual([
    [0, 2, 4],
    [1, 3],
  ])
})

it('raises the ridge and says so', () => {
  // Eigenvalues 1 and -1e-4: the ridges 1e-6 to 1e-4 are too small.
  const kernel = { shape: [2, 2], data: Float64Array.of(1, 0, 0, -1e-4) }
  const y = { shape: [2, 1], data: Float64Array.of(1, 1) }
  const [a, info] = run([kernel, y], (K, b) => {
    const { coefficients, info: said } = kernelRidgeSolve(K, b, { c: 1e-6, scale: 'absolute', detach: true })
    return [coefficients, said]
  })
  const report = ridgeReport(info.data)
  expect(report.failedTries).toBe(3)
  expect(report.ridge).toBeCloseTo(1e-3, 12)
  expect(a.data[1]).toBeCloseTo(1 / 9e-4, 6)
})

it('names what no ridge mends', () => {
  const solve = (data: Float64Array) =>
    ridgeReport(
      run([{ shape: [2, 2], data }, inputs[0]], (K) => [kernelRidgeSolve(K, K, { c: 1e-6, scale: 'absolute', detach: true }).info])[0].data,
    )
  const negative = solve(Float64Array.of(1, 0, 0, -5))
  expect(negative.failedTries).toBe(6)
  expect(() => checkRidgeReport('krr', negative, 2, [[0, 1]])).toThrow(/-4\.9.*rows 0 and 1/)
  expect(() => checkRidgeReport('krr', negative, 2)).toThrow(expect.objectContaining({ code: 'not_positive_definite' }))
  const nan = solve(Float64Array.of(1, 0, 0, Number.NaN))
  expect(() => checkRidgeReport('krr', nan, 2)).toThrow(expect.objectContaining({ code: 'not_finite' }))
})

it.each([
  ['c', { ...trainable, c: 0 }],
  ['c', { ...trainable, c: Number.NaN }],
  ['scale', { ...trainable, scale: 'none' as 'trace' }],
  ['detach', { ...trainable, detach: 1 as unknown as boolean }],
])('refuses a wrong %s', (name, ridge) => {
  expect(() => run(inputs, (phi, y) => [ridgeHead(phi, y, ridge).weights])).toThrow(name)
})

it('refuses what does not fit', () => {
  expect(() => run(inputs, (phi, _, real) => [ridgeHead(phi, real, trainable).weights])).toThrow(/targets/)
  expect(() => run(inputs, (phi, y) => [kernelRidgeSolve(phi, y, trainable).coefficients])).toThrow(/square/)
  expect(() => run(inputs, (phi, y) => [dot(phi, ridgeLoss(y, y, 'l1' as 'mse'))])).toThrow(/loss/i)
})
