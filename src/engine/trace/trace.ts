/** @file Tracing: runs a function once on symbols and keeps the graph that it builds. */
import { expected } from '../../errors.js'
import { Graph } from '../graph/graph.js'
import type { TensorType, Value } from '../graph/node.js'
import { withGraph } from '../ops/build.js'
import { typeRule } from '../ops/registry.js'
import { type DType, dtypes } from '../tensor/dtype.js'
import { checkShape, type Shape } from '../tensor/shape.js'
import { flatten, leafPaths, type MapTree, mapTree, type Tree } from '../tensor/tree.js'

/** Shape and dtype of an argument. */
export type TensorSpec = TensorType

export function spec(shape: Shape, dtype: DType = 'f32'): TensorSpec {
  checkShape('spec', shape)
  checkDtype('spec', dtype)
  return { shape, dtype }
}

function checkDtype(what: string, dtype: DType): void {
  if (!dtypes.includes(dtype)) throw expected('invalid_dtype', what, `one of ${dtypes.join(', ')}`, dtype)
}

export interface Traced {
  readonly graph: Graph
  /** Leaves of the arguments, in order; input i is the node of op 'input' with attribute index = i. */
  readonly inputs: readonly Value[]
  readonly outputs: readonly Value[]
  /** Nesting of the arguments (a list, one entry per argument) and of the result; leaves are types. */
  readonly inputTree: readonly Tree<TensorSpec>[]
  readonly outputTree: Tree<TensorSpec>
  /** Names of the arguments' leaves, e.g. '0.conv.weight', for error messages. */
  readonly inputPaths: readonly string[]
}

// The specs are checked at run time: a recursive constraint here would make the type of the arguments infinitely deep.
type Arguments<S extends readonly unknown[]> = { -readonly [K in keyof S]: MapTree<S[K], TensorType, Value> }

/**
 * Runs `fn` once on symbols of the given specs, one tree per parameter of `fn`, and returns the graph of its result.
 * Traces nest: a value of an outer trace cannot be used inside, pass it as an argument.
 * Throws `invalid_shape`, `invalid_dtype` or `invalid_option` for arguments that are none, `invalid_data` for a result that is no value.
 * @example
 * const traced = trace((x, w) => ({ y: matmul(x, w) }), [spec([8, 4]), spec([4, 2])])
 */
export function trace<const S extends readonly unknown[]>(fn: (...args: Arguments<S>) => Tree<Value>, specs: S): Traced {
  if (typeof fn !== 'function') throw expected('invalid_option', 'trace', 'a function of traced values', fn)
  if (!Array.isArray(specs)) throw expected('invalid_option', 'trace: specs', 'a list, one entry per parameter of the function', specs)
  const graph = new Graph(typeRule)
  const inputs: Value[] = []
  const symbols = mapTree(specs as Tree<TensorSpec>, (leaf, path) => {
    const { shape, dtype } = leaf ?? {}
    checkShape(`trace: spec '${path}'`, shape)
    checkDtype(`trace: spec '${path}'`, dtype)
    const value = graph.node('input', [], { index: inputs.length, shape, dtype })[0]
    inputs.push(value)
    return value
  })
  const result = withGraph(graph, () => fn(...(symbols as unknown as Arguments<S>)))
  const outputs = flatten<Value>(result)
  const stray = outputs.findIndex((v) => v?.node?.graph !== graph)
  if (stray >= 0) {
    throw expected('invalid_data', `trace: result '${leafPaths(result)[stray]}'`, 'a value of this trace', String(outputs[stray]))
  }
  const outputTree = mapTree(result, ({ shape, dtype }): TensorSpec => ({ shape, dtype }))
  return {
    graph,
    inputs,
    outputs,
    inputTree: specs as readonly Tree<TensorSpec>[],
    outputTree,
    inputPaths: leafPaths(specs as Tree<unknown>),
  }
}
