/** @file Every function that builds ops, and every transformation, called wrongly in each of its places: a typed error or a value, never a raw one. */
import { describe, expect, it } from 'vitest'
import * as engine from '../../../src/engine/index.js'
import { grad, hvp, spec, trace, type Value, vjp } from '../../../src/engine/index.js'
import * as ops from '../../../src/engine/ops/index.js'
import { AludelError } from '../../../src/errors.js'

type Build = (...args: unknown[]) => unknown

const builders = Object.entries(ops as Readonly<Record<string, unknown>>).filter(
  (entry): entry is [string, Build] => typeof entry[1] === 'function',
)

const wrong = (x: Value): readonly unknown[] => [
  undefined,
  null,
  3,
  -1,
  1.5,
  'x',
  true,
  [],
  [x],
  ['x'],
  {},
  { axis: 0 },
  { axes: 3 },
  () => x,
  x,
]

/** Calls `build` and returns what it threw, unless that was a typed error. */
function rawError(build: () => unknown): unknown {
  try {
    build()
    return undefined
  } catch (error) {
    return error instanceof AludelError ? undefined : error
  }
}

function inTrace(body: (x: Value) => void): void {
  trace(
    (x) => {
      body(x)
      return x
    },
    [spec([2, 4, 4, 2])],
  )
}

describe('functions that build ops', () => {
  it.each(builders)('%s refuses what it cannot take with a code', (_name, build) => {
    inTrace((x) => {
      for (const first of wrong(x)) {
        expect(rawError(() => build(first))).toBeUndefined()
        for (const second of wrong(x)) {
          expect(rawError(() => build(first, second))).toBeUndefined()
          for (const third of wrong(x)) expect(rawError(() => build(first, second, third))).toBeUndefined()
        }
      }
    })
  })
})

describe('transformations', () => {
  it.each([
    ['grad', grad as Build],
    ['vjp', vjp as Build],
    ['hvp', hvp as Build],
    ['valueAndGrad', engine.valueAndGrad as unknown as Build],
  ])('%s refuses what it cannot take with a code', (_name, transform) => {
    inTrace((x) => {
      const y = ops.sum(x)
      for (const first of [...wrong(x), y]) {
        for (const second of wrong(x)) {
          for (const third of wrong(x)) expect(rawError(() => transform(first, second, third))).toBeUndefined()
        }
      }
    })
  })
})

describe('options', () => {
  it('with a mistyped name are refused instead of left out', () => {
    inTrace((x) => {
      expect(() => ops.sum(x, { axis: [0] } as never)).toThrow(/axes, keep but received 'axis'/)
      expect(() => ops.matmul(x, x, { transpose: true } as never)).toThrow(/transposeA, transposeB/)
      expect(() => ops.avgPool2d(x, { size: 2 } as never)).toThrow(/window, stride/)
    })
  })
})
