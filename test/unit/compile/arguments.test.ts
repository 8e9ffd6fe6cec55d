import { describe, expect, it } from 'vitest'
import { compile } from '../../../src/engine/compile/pipeline.js'
import * as ops from '../../../src/engine/ops/index.js'
import { spec, trace } from '../../../src/engine/trace/trace.js'
import { decode } from './decode.js'
import { simulate } from './simulate.js'

const pair = trace((a, b) => [ops.add(a, b), ops.mul(a, b)], [spec([2]), spec([2])])
const opsOf = (bytes: Uint8Array): string[] => decode(bytes).instructions.map((i) => i.op)

describe('arguments', () => {
  it('are the inputs, then the outputs, under the given names', () => {
    const program = compile(pair, { names: ['a', 'b', 'sum', 'product'] })
    expect(program.arguments.map(({ name, role }) => `${name} ${role}`)).toEqual(['a input', 'b input', 'sum output', 'product output'])
    expect(simulate(program, [[1, 2], [3, 4]]).slice(2).map((x) => [...x])).toEqual([[4, 6], [3, 8]]) // biome-ignore format: small table
  })

  it('share a buffer when donated, without a copy where the write is the last read', () => {
    const program = compile(
      trace((p, g) => ops.sub(p, g), [spec([3]), spec([3])]),
      { donate: { 0: 0 } },
    )
    expect(program.arguments.map((a) => a.role)).toEqual(['inout', 'input'])
    expect(opsOf(program.bytes)).toEqual(['sub'])
    expect([...simulate(program, [[5, 6, 7], [1, 1, 1]])[0]]).toEqual([4, 5, 6]) // biome-ignore format: small table
  })

  it('are copied at the end when a donated input is still read', () => {
    const shifted = trace((p) => [ops.reverse(p, [0]), ops.sum(p)], [spec([3])])
    const program = compile(shifted, { donate: { 0: 0 } })
    const [p, total] = simulate(program, [[1, 2, 3]])
    expect([[...p], [...total]]).toEqual([[3, 2, 1], [6]])
    expect(opsOf(program.bytes).at(-1)).toBe('copy')
  })

  it('can be swapped by donation', () => {
    const program = compile(
      trace((a, b) => [b, a], [spec([2]), spec([2])]),
      { donate: { 0: 0, 1: 1 } },
    )
    expect(simulate(program, [[1, 2], [3, 4]]).map((x) => [...x])).toEqual([[3, 4], [1, 2]]) // biome-ignore format: small table
  })

  it('of two equal outputs are both filled, inputs passed through as well', () => {
    const program = compile(trace((a) => [ops.exp(a), ops.exp(a), a, ops.reshape(a, [2, 1])], [spec([2])]))
    const results = simulate(program, [[0, 1]]).map((x) => [...x])
    expect(results.slice(1)).toEqual([[1, Math.E], [1, Math.E], [0, 1], [0, 1]]) // biome-ignore format: small table
  })

  it('with a constant as output hold it', () => {
    const program = compile(trace((a) => [ops.full([3], 2.5), ops.mul(a, 1)], [spec([1])]))
    expect(simulate(program, [[7]]).map((x) => [...x])).toEqual([[7], [2.5, 2.5, 2.5], [7]])
  })

  it('in ring slots follow the step: a trajectory in one buffer', () => {
    const step = trace((p) => ops.mul(p, 2), [spec([2])])
    const program = compile(step, {
      donate: { 0: 0 },
      slots: { inputs: { 0: { count: 4 } }, outputs: { 0: { count: 4, add: 1 } } },
    })
    expect(program.arguments[0].slots).toBe(4)
    expect(opsOf(program.bytes)).toHaveLength(1)
    expect([...simulate(program, [[1, 3]], { steps: 3 })[0]]).toEqual([1, 3, 2, 6, 4, 12, 8, 24])
  })

  it('with a negative ring step run backwards', () => {
    const program = compile(
      trace((p) => ops.neg(p), [spec([1])]),
      { slots: { inputs: { 0: { count: 3, mul: -1, add: 2 } } } },
    )
    expect([...simulate(program, [[10, 20, 30]], { startStep: 1 })[1]]).toEqual([-20])
  })

  it('leave the step scalar out', () => {
    const counting = trace((step, x) => ops.add(x, ops.reshape(ops.cast(step, 'f32'), [])), [spec([1], 'u32'), spec([])])
    const program = compile(counting, { stepInput: 0, donate: { 0: 1 } })
    expect(program.inputArguments).toEqual([-1, 0])
    expect([...simulate(program, [[100]], { steps: 3, startStep: 5 })[0]]).toEqual([118])
  })
})

describe('arguments that do not fit', () => {
  const refuses = (options: Parameters<typeof compile>[1], message: RegExp) =>
    expect(() => compile(pair, options)).toThrow(
      expect.objectContaining({ code: 'invalid_option', message: expect.stringMatching(message) }),
    )

  it('are refused with what was expected', () => {
    refuses({ donate: { 0: 7 } }, /index of an input/)
    refuses({ donate: { 0: 1, 1: 1 } }, /no other output/)
    refuses({ stepInput: 0 }, /u32 \[1\]/)
    refuses({ slots: { inputs: { 0: { count: 0 } } } }, /count >= 1/)
    refuses({ donate: { 0: 0 }, slots: { inputs: { 0: { count: 3 } } } }, /3 slots/)
    refuses({ slicing: { rows: 0.5 } }, /whole number/)
    refuses({ memoryBudget: Number.NaN }, /bytes >= 0/)
  })

  it('include donation between different shapes', () => {
    const traced = trace((a) => ops.sum(a), [spec([2])])
    expect(() => compile(traced, { donate: { 0: 0 } })).toThrow(/expected an input of f32 \[\]/)
  })
})
