/** @file Graph invariants: deduplication, stable text, verification, rewriting, tracing. */
import { describe, expect, test } from 'vitest'
import {
  add,
  constant,
  type Graph,
  grad,
  matmul,
  mul,
  neg,
  print,
  relu,
  rewrite,
  scalar,
  spec,
  sum,
  trace,
  type Value,
  verify,
} from '../../../src/engine/index.js'
import { currentGraph } from '../../../src/engine/ops/build.js'

const expectCode = (code: string) => expect.objectContaining({ name: 'AludelError', code })

describe('hash-consing', () => {
  test('equal content is one node', () => {
    trace(
      (x) => {
        const v = x as Value
        expect(add(v, 1)).toBe(add(v, 1))
        expect(add(v, 1)).not.toBe(add(v, 2))
        expect(constant([1, 2], [2])).toBe(constant([1, 2], [2]))
        return v
      },
      [spec([2])],
    )
  })

  test('zero and minus zero, f32 and f64 are different constants', () => {
    trace(() => {
      expect(scalar(0)).not.toBe(scalar(-0))
      expect(scalar(1)).not.toBe(scalar(1, 'f64'))
      expect(scalar(Number.NaN)).toBe(scalar(Number.NaN))
      return scalar(0)
    }, [])
  })
})

test('text is stable and shows only what the outputs need', () => {
  const { outputs } = trace(
    (x, w) => {
      neg(x)
      const y = sum(relu(matmul(x, w)))
      return [y, ...grad(y, [w])]
    },
    [spec([2, 3]), spec([3, 4])],
  )
  expect(print(outputs)).toMatchInlineSnapshot(`
    "%0 = input() {dtype: f32, index: 0, shape: [2, 3]} : f32[2, 3]
    %1 = input() {dtype: f32, index: 1, shape: [3, 4]} : f32[3, 4]
    %2 = matmul(%0, %1) {transposeA: false, transposeB: false} : f32[2, 4]
    %3 = relu(%2) : f32[2, 4]
    %4 = sum(%3) {axes: [0, 1]} : f32[]
    %5 = constant() {data: [1], dtype: f32, shape: []} : f32[]
    %6 = reshape(%5) {shape: [1, 1]} : f32[1, 1]
    %7 = broadcast(%6) {shape: [2, 4]} : f32[2, 4]
    %8 = constant() {data: [0], dtype: f32, shape: []} : f32[]
    %9 = greater(%2, %8) : f32[2, 4]
    %10 = select(%9, %7, %8) : f32[2, 4]
    %11 = matmul(%0, %10) {transposeA: true, transposeB: false} : f32[3, 4]
    return %4, %11"
  `)
})

describe('verify', () => {
  test('accepts a traced graph', () => {
    verify(trace((x) => mul(x, x), [spec([3])]).outputs)
  })

  test('finds an output whose type its rule does not give', () => {
    const [y] = trace((x) => neg(x), [spec([3])]).outputs
    const node = { ...y.node, outputs: [] as Value[] }
    const forged: Value = { ...y, node, shape: [4] }
    node.outputs.push(forged)
    expect(() => verify([forged])).toThrow(expectCode('internal'))
  })

  test('refuses a value of another graph', () => {
    const other = trace((x) => x, [spec([3])]).outputs[0]
    expect(() => trace((x) => add(x, other), [spec([3])])).toThrow(/another graph/)
  })
})

describe('rewrite', () => {
  test('replaces nodes, drops dead ones and keeps sharing', () => {
    const traced = trace(
      (x) => {
        const twice = add(x, x)
        return [mul(twice, twice), neg(twice)]
      },
      [spec([2])],
    )
    const rewritten = rewrite(traced.outputs, (node, [a], target) => (node.op === 'neg' ? target.node('abs', [a]) : undefined))
    const { graph } = rewritten
    verify(rewritten.outputs)
    expect(graph).not.toBe(traced.graph)
    expect(graph.nodes.map((n) => n.op)).toEqual(['input', 'add', 'mul', 'abs'])
    expect(rewritten.valueOf(traced.inputs[0])).toBe(graph.nodes[0].outputs[0])
  })

  test('refuses a replacement of another type', () => {
    const traced = trace((x) => neg(x), [spec([2])])
    const toScalar = (target: Graph) => [scalar(0, 'f32', target)]
    expect(() => rewrite(traced.outputs, (node, _, target) => (node.op === 'neg' ? toScalar(target) : undefined))).toThrow(
      expectCode('internal'),
    )
  })
})

describe('trace', () => {
  test('arguments and results are trees in insertion order', () => {
    const traced = trace(({ layers }, x) => ({ b: mul(x, layers[0].w), a: [neg(x)] }), [{ layers: [{ w: spec([2]) }] }, spec([2])])
    expect(traced.inputPaths).toEqual(['0.layers.0.w', '1'])
    expect(traced.outputs.map((v) => v.node.op)).toEqual(['mul', 'neg'])
    expect(traced.outputTree).toEqual({ b: spec([2]), a: [spec([2])] })
  })

  test('an error inside leaves no ambient graph behind', () => {
    expect(() =>
      trace(() => {
        throw new Error('inside')
      }, []),
    ).toThrow('inside')
    expect(() => currentGraph()).toThrow(/outside trace/)
  })

  test('traces nest', () => {
    const traced = trace(
      (x) => {
        const inner = trace((y) => neg(y), [spec([3])])
        expect(inner.graph).not.toBe(x.node.graph)
        return add(x, scalar(1))
      },
      [spec([2])],
    )
    expect(traced.outputs[0].node.graph).toBe(traced.graph)
  })

  test('a result that is no value is named', () => {
    expect(() => trace(() => ({ loss: 3 }) as never, [])).toThrow(/result 'loss'/)
  })
})
