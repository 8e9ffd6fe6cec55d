/** @file Products that no precision of a device may round: what `matmul` says of them reaches the program, through derivatives and passes. */
import { describe, expect, it } from 'vitest'
import { outerGradients } from '../../../src/distill/regression/outer-step.js'
import { grad } from '../../../src/engine/autodiff/grad.js'
import { compile } from '../../../src/engine/compile/pipeline.js'
import type { Value } from '../../../src/engine/graph/node.js'
import * as ops from '../../../src/engine/ops/index.js'
import { spec, type Traced, trace } from '../../../src/engine/trace/trace.js'
import { networkByName } from '../../../src/nn/networks/registry.js'
import { barlowTwins } from '../../../src/pretrain/objectives/barlow-twins.js'
import { ntXent } from '../../../src/pretrain/objectives/simclr.js'
import { vicreg } from '../../../src/pretrain/objectives/vicreg.js'
import { viewSize } from '../../../src/pretrain/view-draws.js'
import { augmentedView } from '../../../src/pretrain/views.js'
import { kernelRidgeSolve, ridgeHead } from '../../../src/ridge/ridge.js'
import { decode } from './decode.js'

/** The numbers of every product of float32 matrices in a program for a GPU. */
function productsOf(traced: Traced): readonly (readonly number[])[] {
  const { instructions, values } = decode(compile(traced, { isa: 'sm_90', precision: 'tf32' }).bytes)
  return instructions.filter(({ op, outputs }) => op === 'matmul' && values[outputs[0]].dtype === 'f32').map(({ numbers }) => numbers)
}

const square = (build: (a: Value, b: Value) => Value) => trace((a, b) => build(a, b), [spec([8, 8]), spec([8, 8])])
const exact = { precision: 'f32' } as const

it('is the third number of a product, and of none that did not ask for it', () => {
  expect(productsOf(square((a, b) => ops.matmul(a, b, { transposeB: true })))).toEqual([[0, 1]])
  expect(productsOf(square((a, b) => ops.matmul(a, b, { transposeB: true, ...exact })))).toEqual([[0, 1, 1]])
})

it('keeps the same product apart from one that may be rounded, and says nothing of float64', () => {
  const both = square((a, b) => ops.add(ops.matmul(a, b), ops.matmul(a, b, exact)))
  expect(productsOf(both).map(({ length }) => length)).toEqual([2, 3])
  const double = trace((a) => ops.matmul(a, a, exact), [spec([4, 4], 'f64')])
  expect(decode(compile(double).bytes).instructions[0].numbers).toEqual([0, 0])
})

it('is inherited by derivatives of any order', () => {
  const traced = trace(
    (a, b) => {
      const [first] = grad(ops.sum(ops.square(ops.matmul(a, b, exact))), [a])
      return grad(ops.sum(ops.square(first)), [a, b])
    },
    [spec([8, 12]), spec([12, 16])],
  )
  const products = productsOf(traced)
  expect(products.length).toBeGreaterThan(4)
  for (const [, , third] of products) expect(third).toBe(1)
})

it('is f32 or nothing', () => {
  expect(() => square((a, b) => ops.matmul(a, b, { precision: 'tf32' as 'f32' }))).toThrow(/precision: expected 'f32'/)
})

const [n, m, k] = [6, 9, 4]
const image = [8, 8, 3] as const
const network = networkByName('conv-bn', image, k)
const ridge = { c: 1e-6, scale: 'trace', detach: false } as const
const lossOf = (v: Value): Value => ops.cast(ops.sum(ops.square(v)), 'f32')

describe.each<readonly [string, () => Traced]>([
  [
    'the outer step of KRR-ST',
    () =>
      trace(
        (images, targets, real, realTargets, ...rest) => {
          const parameters = Object.fromEntries(network.parameters.map(({ name }, i) => [name, rest[i]]))
          const state = Object.fromEntries(network.state.map(({ name }, i) => [name, rest[network.parameters.length + i]]))
          const step = outerGradients({ network, parameters, state }, { images, targets, real, realTargets }, ridge)
          return [step.loss, step.images, step.targets]
        },
        [
          spec([n, ...image]),
          spec([n, k]),
          spec([m, ...image]),
          spec([m, k]),
          ...[...network.parameters, ...network.state].map(({ shape }) => spec([1, ...shape])),
        ],
      ),
  ],
  [
    'gradients of a ridge head by the small system',
    () => trace((phi, y) => grad(lossOf(ridgeHead(phi, y, ridge, { route: 'primal' }).weights), [phi, y]), [spec([n, 3]), spec([n, k])]),
  ],
  [
    'gradients of a kernel of products',
    () => trace((phi, y) => grad(lossOf(kernelRidgeSolve(ops.gram(phi), y, ridge).coefficients), [phi, y]), [spec([n, 5]), spec([n, k])]),
  ],
  ['SimCLR', () => square((a, b) => grad(ntXent(a, b, { temperature: 0.2 }), [a])[0])],
  ['Barlow Twins', () => square((a, b) => grad(barlowTwins(a, b, { lambda: 0.0051, scale: 0.1 }), [a])[0])],
  ['VICReg', () => square((a, b) => grad(vicreg(a, b, { invariance: 25, variance: 25, covariance: 1, stdHalf: true }), [a])[0])],
  ['views', () => trace((x, rows) => augmentedView(x, rows), [spec([4, ...image]), spec([4, viewSize])])],
])('%s', (_, build) => {
  it('rounds no product', () => {
    const products = productsOf(build())
    expect(products.length).toBeGreaterThan(0)
    for (const [, , third] of products) expect(third).toBe(1)
  })
})
