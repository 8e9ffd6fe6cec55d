/** @file A case's graph and the graphs of its first and second derivatives, with inputs for each. */
import { fold, keyOf, type RefTensor, sizeOf, spec, type Traced, trace, uniform, type Value, vjp } from '../../src/engine/index.js'
import { caseInputs, caseTitle, type OpCase } from '../cases/index.js'

export interface CaseGraph {
  readonly order: 'forward' | 'first derivative' | 'second derivative'
  readonly traced: Traced
  readonly inputs: readonly RefTensor[]
}

/** Cotangents: numbers in [-1, 1), exact in float32. */
function cotangentsOf(values: readonly Value[], title: string, stream: number): RefTensor[] {
  return values.map(({ shape }, i) => {
    const key = fold(keyOf(5), title, i)
    return { shape, data: uniform(key, 0, stream, sizeOf(shape)).map((u) => 2 * u - 1) }
  })
}

const specsOf = (values: readonly Value[]) => values.map(({ shape, dtype }) => spec(shape, dtype))

/** The vjp of a traced function in `wrt`, as a function of its inputs and the cotangents of its outputs. */
function backwardOf(traced: Traced, build: (...values: Value[]) => readonly Value[], wrt: readonly number[]) {
  const count = traced.inputs.length
  const backward = (...values: Value[]) => {
    const x = values.slice(0, count)
    return vjp(
      build(...x),
      values.slice(count),
      wrt.map((i) => x[i]),
    )
  }
  return { backward, traced: trace((...values) => backward(...(values as Value[])), specsOf([...traced.inputs, ...traced.outputs])) }
}

export function caseGraphs(c: OpCase): CaseGraph[] {
  const title = caseTitle(c)
  const { wrt = [] } = c
  const inputs = caseInputs(c)
  const forward = trace(
    (...x) => c.build(...(x as Value[])),
    c.inputs.map(({ shape, dtype }) => spec(shape, dtype)),
  )
  const graphs: CaseGraph[] = [{ order: 'forward', traced: forward, inputs }]
  if (wrt.length === 0) return graphs
  const first = backwardOf(forward, c.build, wrt)
  const firstInputs = [...inputs, ...cotangentsOf(forward.outputs, title, 1)]
  graphs.push({ order: 'first derivative', traced: first.traced, inputs: firstInputs })
  if (c.second === false) return graphs
  // The gradient is linear in its cotangents: their derivatives are differentiated too.
  const second = backwardOf(first.traced, first.backward, [...wrt, ...forward.outputs.map((_, i) => inputs.length + i)])
  graphs.push({
    order: 'second derivative',
    traced: second.traced,
    inputs: [...firstInputs, ...cotangentsOf(first.traced.outputs, title, 2)],
  })
  return graphs
}
