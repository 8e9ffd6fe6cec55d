/** @file What the sweep promises beyond single ops: zeros, intermediate values, refusals, Hessian-vector products. */
import { describe, expect, test } from 'vitest'
import {
  add,
  cast,
  exp,
  grad,
  hvp,
  interpret,
  mean,
  mul,
  normActPool,
  refTensor,
  softmaxCe,
  spec,
  square,
  stopGradient,
  sum,
  trace,
  type Value,
  valueAndGrad,
} from '../../../src/engine/index.js'

const run = (fn: (x: Value) => Value | readonly Value[], x: readonly number[]): number[][] =>
  interpret(
    trace((v) => fn(v), [spec([x.length])]),
    [refTensor([x.length], x)],
  ).map((t) => [...t.data])

describe('grad', () => {
  test('of the sum of squares', () => {
    expect(run((x) => grad(sum(square(x)), [x]), [1, -2])).toEqual([[2, -4]])
  })

  test('zeros where nothing depends on the value', () => {
    expect(run((x) => grad(sum(exp(stopGradient(x))), [x]), [1, 2])).toEqual([[0, 0]])
  })

  test('with respect to a value in between', () => {
    expect(run((x) => grad(sum(mul(square(x), x)), [square(x), x]), [3])).toEqual([[3], [27]])
  })

  test('value and gradient together', () => {
    const both = (x: Value) => {
      const { value, grads } = valueAndGrad(mean(square(x)), [x])
      return [value, ...grads]
    }
    expect(run(both, [1, 3])).toEqual([[5], [1, 3]])
  })

  test('a non-scalar, an integer and a foreign op are refused', () => {
    expect(() => run((x) => grad(x, [x]), [1, 2])).toThrow(expect.objectContaining({ code: 'invalid_shape' }))
    expect(() => run((x) => grad(sum(x), [cast(x, 'i32')]), [1])).toThrow(expect.objectContaining({ code: 'invalid_dtype' }))
  })

  test('statistics and scores carry no gradient', () => {
    const statistics = () =>
      trace((x, p) => grad(sum(normActPool(x, p, p, { kind: 'instance' }).mean), [x]), [spec([1, 1, 2, 2, 3]), spec([1, 3])])
    expect(statistics).toThrow(expect.objectContaining({ code: 'not_differentiable' }))
    expect(statistics).toThrow(/norm_act_pool/)
    const score = () => trace((z, t) => grad(sum(softmaxCe(z, t).el2n), [z]), [spec([2, 3]), spec([2], 'i32')])
    expect(score).toThrow(/softmax_ce/)
  })
})

test('Hessian-vector product, vectors held constant', () => {
  // y = sum x^4 + (sum x)^2: H = diag(12 x^2) + 2 J, and H v with v = x although v depends on x.
  const product = (x: Value) => hvp(add(sum(square(square(x))), square(sum(x))), [x], [x])
  expect(run(product, [1, 2])).toEqual([[12 + 6, 96 + 6]])
})
