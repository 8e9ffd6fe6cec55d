/** @file Emitting nodes: the ambient graph of the trace under way, constants, and the checks every op shares. */
import { AludelError, expected } from '../../errors.js'
import type { Graph } from '../graph/graph.js'
import type { Attrs, Value } from '../graph/node.js'
import { type DType, dtypes } from '../tensor/dtype.js'
import { checkShape, formatShape, type Shape, sizeOf } from '../tensor/shape.js'
import type { Opcode } from './opcodes.js'

const ambient: Graph[] = []

/** Throws `invalid_shape` or `invalid_dtype` naming what is made. */
function checkType(what: string, shape: Shape, dtype: DType): void {
  checkShape(what, shape)
  if (!dtypes.includes(dtype)) throw expected('invalid_dtype', what, `one of ${dtypes.join(', ')}`, dtype)
}

/** Runs `body` with `graph` as the graph that constants and draws are added to; nests, and unwinds on errors. */
export function withGraph<T>(graph: Graph, body: () => T): T {
  ambient.push(graph)
  try {
    return body()
  } finally {
    ambient.pop()
  }
}

/** The graph of the innermost trace. @throws AludelError 'internal' outside a trace. */
export function currentGraph(): Graph {
  const graph = ambient.at(-1)
  if (!graph) throw new AludelError('internal', 'an op was called outside trace(); wrap the computation in trace(fn, specs)')
  return graph
}

/** Throws `invalid_data` naming the op unless every input is a value of a trace. */
export function checkValues(op: string, inputs: readonly Value[]): void {
  for (const input of inputs) {
    if (!input?.node) throw expected('invalid_data', op, 'a traced value for each input', input)
  }
}

/** Adds a node to the graph of its inputs (or to the ambient one) and returns all its outputs. */
export function emit(op: Opcode, inputs: readonly Value[], attrs: Attrs = {}): readonly Value[] {
  checkValues(op, inputs)
  const graph = inputs.length > 0 ? inputs[0].node.graph : currentGraph()
  return graph.node(op, inputs, attrs)
}

/** `emit` for ops with one output. */
export const emitOne = (op: Opcode, inputs: readonly Value[], attrs: Attrs = {}): Value => emit(op, inputs, attrs)[0]

/** What an op accepts as an operand: a traced value, or a number that becomes a constant of the other operand's dtype. */
export type Operand = Value | number

/** Constants above this size belong in an argument: they are kept in the graph and hashed by content. */
const maxConstantElements = 1 << 16

/**
 * A constant tensor; `data` is row-major.
 * @throws AludelError 'invalid_shape' when the count does not match or there are more than 65536 elements.
 */
export function constant(data: ArrayLike<number>, shape: Shape, dtype: DType = 'f32', graph: Graph = currentGraph()): Value {
  checkType('constant', shape, dtype)
  if (typeof graph?.node !== 'function') throw expected('invalid_data', 'constant', 'the graph of a trace', graph)
  if (!Number.isSafeInteger(data?.length)) throw expected('invalid_data', 'constant', 'a list of numbers', data)
  if (data.length !== sizeOf(shape) || data.length > maxConstantElements) {
    const wanted = `${sizeOf(shape)} elements for shape ${formatShape(shape)}, at most ${maxConstantElements}`
    throw expected('invalid_shape', 'constant', wanted, data.length, 'pass larger tensors as arguments')
  }
  // Not rounded to f32 here: the reference interpreter computes in float64, and encoding rounds once.
  return graph.node('constant', [], { data: Array.from(data), shape, dtype })[0]
}

/** A constant with shape []. */
export function scalar(x: number, dtype: DType = 'f32', graph: Graph = currentGraph()): Value {
  if (typeof x !== 'number') throw expected('invalid_data', 'scalar', 'a number', x)
  return constant([x], [], dtype, graph)
}

/** A tensor filled with one number: a broadcast scalar, which costs no memory. */
export function full(shape: Shape, x: number, dtype: DType = 'f32', graph: Graph = currentGraph()): Value {
  checkType('full', shape, dtype)
  const value = scalar(x, dtype, graph)
  return shape.length === 0 ? value : graph.node('broadcast', [value], { shape })[0]
}

export const zerosLike = (v: Value): Value => fullLike('zerosLike', v, 0)
export const onesLike = (v: Value): Value => fullLike('onesLike', v, 1)

function fullLike(what: string, v: Value, x: number): Value {
  checkValues(what, [v])
  return full(v.shape, x, v.dtype, v.node.graph)
}

/** `x` as a value; a number becomes a scalar of the dtype and graph of `like`. */
export function operand(x: Operand, like: Value): Value {
  checkValues('operand', [like])
  return typeof x === 'number' ? scalar(x, like.dtype, like.node.graph) : x
}

/** The number that a scalar constant (or a broadcast of one) holds, else undefined. */
export function constantValue(v: Value): number | undefined {
  checkValues('constantValue', [v])
  const { op, attrs, inputs } = v.node
  if (op === 'broadcast') return constantValue(inputs[0])
  return op === 'constant' && sizeOf(v.shape) === 1 ? (attrs.data as readonly number[])[0] : undefined
}
