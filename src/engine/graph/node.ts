/** @file Graph nodes: immutable, hash-consed by their graph; a value is one output of a node. */
import type { Opcode } from '../ops/opcodes.js'
import type { DType } from '../tensor/dtype.js'
import type { Shape } from '../tensor/shape.js'
import type { Graph } from './graph.js'

export interface TensorType {
  readonly shape: Shape
  readonly dtype: DType
}

export type AttrValue = number | string | boolean | readonly number[]
export type Attrs = Readonly<Record<string, AttrValue>>

export interface Node {
  readonly graph: Graph
  /** Position in the graph's creation order, which is a topological order. */
  readonly id: number
  readonly op: Opcode
  readonly inputs: readonly Value[]
  readonly attrs: Attrs
  readonly outputs: readonly Value[]
}

/** One output of a node: what user code passes around. Owns nothing. */
export interface Value extends TensorType {
  readonly node: Node
  readonly index: number
}
