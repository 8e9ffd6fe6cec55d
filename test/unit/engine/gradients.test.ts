/** @file First and second derivatives of every op against central differences of the float64 reference. */
import { describe, expect, test } from 'vitest'
import {
  fold,
  interpret,
  keyOf,
  type RefTensor,
  sizeOf,
  spec,
  type Traced,
  trace,
  uniform,
  type Value,
  vjp,
} from '../../../src/engine/index.js'
import { allCases, caseInputs, caseTitle, type OpCase } from '../../cases/index.js'

/** Numbers in [-1, 1) for cotangents and directions. */
function randomLike(shape: readonly number[], title: string, purpose: number): RefTensor {
  return { shape, data: uniform(fold(keyOf(2), title), 0, purpose, sizeOf(shape)).map((u) => 2 * u - 1) }
}

const inner = (a: readonly RefTensor[], b: readonly RefTensor[]): number =>
  a.reduce((total, t, i) => total + t.data.reduce((sum, v, k) => sum + v * b[i].data[k], 0), 0)

const shifted = (x: readonly RefTensor[], direction: readonly (RefTensor | null)[], step: number): RefTensor[] =>
  x.map((t, i) => (direction[i] ? { shape: t.shape, data: t.data.map((v, k) => v + step * direction[i]!.data[k]) } : t))

const step = 1e-5

/** d/ds of <f(x + s v), weights> by central differences. */
function difference(
  traced: Traced,
  x: readonly RefTensor[],
  direction: readonly (RefTensor | null)[],
  weights: readonly RefTensor[],
): number {
  const [after, before] = [step, -step].map((s) => interpret(traced, shifted(x, direction, s)))
  return (inner(after, weights) - inner(before, weights)) / (2 * step)
}

function expectClose(actual: number, wanted: number): void {
  expect(Math.abs(actual - wanted)).toBeLessThan(2e-7 * (1 + Math.abs(wanted)))
}

const specsOf = (c: OpCase) => c.inputs.map(({ shape, dtype }) => spec(shape, dtype))

/** The case's outputs, and the case's vjp as a function of its inputs and cotangents. */
function traceBoth(c: OpCase): { forward: Traced; backward: Traced } {
  const wrt = c.wrt as readonly number[]
  const forward = trace((...x) => c.build(...(x as Value[])), specsOf(c))
  const cotangents = forward.outputs.map(({ shape, dtype }) => spec(shape, dtype))
  const backward = trace(
    (...args) => {
      const x = args.slice(0, c.inputs.length) as Value[]
      return vjp(
        c.build(...x),
        args.slice(c.inputs.length) as Value[],
        wrt.map((i) => x[i]),
      )
    },
    [...specsOf(c), ...cotangents],
  )
  return { forward, backward }
}

const differentiable = allCases.filter((c) => c.wrt && c.wrt.length > 0)

describe.each(differentiable.map((c) => [caseTitle(c), c] as const))('%s', (title, c) => {
  const x = caseInputs(c)
  const { forward, backward } = traceBoth(c)
  const cotangents = forward.outputs.map((v, i) => randomLike(v.shape, title, 10 + i))
  const direction = x.map((t, i) => (c.wrt?.includes(i) ? randomLike(t.shape, title, 30 + i) : null))
  const along = (c.wrt as readonly number[]).map((i) => direction[i] as RefTensor)

  test('first derivative', () => {
    const gradients = interpret(backward, [...x, ...cotangents])
    gradients.forEach((g, i) => {
      expect(g.shape).toEqual(x[(c.wrt as readonly number[])[i]].shape)
    })
    expectClose(inner(gradients, along), difference(forward, x, direction, cotangents))
  })

  test.skipIf(c.second === false)('second derivative', () => {
    const seeds = backward.outputs.map((v, i) => randomLike(v.shape, title, 50 + i))
    const all = [...x, ...cotangents]
    const wrt = [...(c.wrt as readonly number[]), ...cotangents.map((_, i) => x.length + i)]
    const second = trace(
      (...args) => {
        const values = args as Value[]
        const [v, rest] = [values.slice(0, x.length), values.slice(x.length)]
        const [g, u] = [rest.slice(0, cotangents.length), rest.slice(cotangents.length)]
        const first = vjp(
          c.build(...v),
          g,
          (c.wrt as readonly number[]).map((i) => v[i]),
        )
        return vjp(
          first,
          u,
          wrt.map((i) => values[i]),
        )
      },
      [...backward.inputs, ...backward.outputs].map(({ shape, dtype }) => spec(shape, dtype)),
    )
    const moved = all.map((t, i) => (i >= x.length ? randomLike(t.shape, title, 70 + i) : direction[i]))
    const gradients = interpret(second, [...all, ...seeds])
    expectClose(
      inner(
        gradients,
        wrt.map((i) => moved[i] as RefTensor),
      ),
      difference(backward, all, moved, seeds),
    )
  })
})
