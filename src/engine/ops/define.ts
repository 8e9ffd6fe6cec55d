/** @file What an op is: one record that holds everything TypeScript knows about it. */
import type { Attrs, Node, TensorType, Value } from '../graph/node.js'
import type { Shape } from '../tensor/shape.js'

/** A tensor of the float64 reference interpreter. Integers are stored as exact numbers. */
export interface RefTensor {
  readonly shape: Shape
  readonly data: Float64Array
}

/**
 * How a value behaves when the batch is cut into slices. A number is the batch axis; null means the value does not depend on the
 * batch; 'sum' marks an output that is a sum over the batch (partial results of slices add up).
 */
export type BatchAxis = number | null
export type SlicedOutput = BatchAxis | 'sum'

export interface OpDef {
  /** One sentence for the documentation. */
  readonly doc: string
  /** Output types from input types and attributes; throws AludelError naming the op when they do not fit. */
  readonly type: (inputs: readonly TensorType[], attrs: Attrs) => readonly TensorType[]
  /**
   * Cotangents of the inputs, built from other ops, given those of the outputs (null: no gradient flows into that output).
   * Null for an input = no gradient. Absent: the op is not differentiable, and asking is an error.
   */
  readonly vjp?: (context: {
    node: Node
    inputs: readonly Value[]
    outputs: readonly Value[]
    cotangents: readonly (Value | null)[]
    needs: readonly boolean[]
  }) => readonly (Value | null)[]
  /** Inputs that can carry a gradient (default: every f32/f64 input). */
  readonly differentiable?: readonly number[]
  /** float64 oracle, plain and slow. */
  readonly reference: (inputs: readonly RefTensor[], attrs: Attrs, outputs: readonly TensorType[]) => readonly RefTensor[]
  /** Floating-point operations of one execution. */
  readonly flops: (inputs: readonly TensorType[], outputs: readonly TensorType[], attrs: Attrs) => number
  /** The outputs are the first inputs, with a derivative of their own: nothing of it is left when the graph is compiled. */
  readonly alias?: true
  /** Attributes as numbers in the order of the program contract (default: none). */
  readonly encode?: (attrs: Attrs, inputs: readonly TensorType[], outputs: readonly TensorType[]) => readonly number[]
  /**
   * Slicing rule: batch axes of the inputs -> of the outputs, or undefined when the op mixes samples and must run outside a region
   * (default: undefined unless no input has a batch axis).
   */
  readonly slice?: (inputAxes: readonly BatchAxis[], node: Node) => readonly SlicedOutput[] | undefined
}

export const defineOp = (definition: OpDef): OpDef => definition
