/** @file The op set is closed under differentiation: what a vjp emits has a vjp, or refuses by name. */
import { describe, expect, test } from 'vitest'
import { type Opcode, opcodes, registry, spec, topologicalOrder, trace, type Value, verify, vjp } from '../../../src/engine/index.js'
import { AludelError } from '../../../src/errors.js'
import { allCases, caseTitle, type OpCase } from '../../cases/index.js'

/** Ops without derivative that a derivative may contain. */
const refusing: readonly Opcode[] = ['norm_act_pool_grad_grad', 'softmax_ce_grad_grad', 'cholesky']
const storage: readonly Opcode[] = ['input', 'constant']
/** Emitted by the compiler after differentiation; run by executors only. */
const compilerOnly: readonly Opcode[] = ['loop', 'accumulate', 'conv2d_prepare', 'input']

function derivatives(c: OpCase): readonly Value[] {
  const traced = trace(
    (...args) => {
      const x = args as Value[]
      const wrt = (c.wrt as readonly number[]).map((i) => x[i])
      const outputs = c.build(...x)
      const first = vjp(outputs, outputs, wrt)
      return c.second === false ? first : [...first, ...vjp(first, first, wrt)]
    },
    c.inputs.map(({ shape, dtype }) => spec(shape, dtype)),
  )
  return traced.outputs
}

describe('closure', () => {
  const differentiable = allCases.filter((c) => c.wrt && c.wrt.length > 0)
  test.each(differentiable.map((c) => [caseTitle(c), c] as const))('%s', (_, c) => {
    const outputs = derivatives(c)
    verify(outputs)
    const emitted = topologicalOrder(outputs).map((node) => node.op)
    const open = emitted.filter((op) => !registry[op].vjp && !refusing.includes(op) && !storage.includes(op))
    expect(open).toEqual([])
  })

  test('every op has a case', () => {
    const covered = new Set(allCases.map((c) => c.op))
    expect(opcodes.filter((op) => !covered.has(op) && !compilerOnly.includes(op))).toEqual([])
  })

  test('case titles are unique', () => {
    expect(new Set(allCases.map(caseTitle)).size).toBe(allCases.length)
  })

  test.each(refusing)('%s refuses by name', (op) => {
    const c = allCases.find((one) => one.op === op) as OpCase
    const attempt = () =>
      trace(
        (...args) => {
          const x = args as Value[]
          const outputs = c.build(...x)
          return vjp(outputs, outputs, [x[0]])
        },
        c.inputs.map(({ shape, dtype }) => spec(shape, dtype)),
      )
    expect(attempt).toThrow(AludelError)
    expect(attempt).toThrow(op)
    expect(attempt).toThrow(expect.objectContaining({ code: 'not_differentiable' }))
  })
})
