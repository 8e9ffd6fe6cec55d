/** @file The compiler's own graph: nodes with encoded attributes, hash-consed while they are built, plus loop regions. */
import type { Attrs, TensorType } from '../graph/node.js'
import type { Opcode } from '../ops/opcodes.js'
import type { TypedArray } from '../tensor/dtype.js'
import { bytesPerElement } from '../tensor/dtype.js'
import { sizeOf } from '../tensor/shape.js'

export interface IrValue extends TensorType {
  readonly node: IrNode
  readonly index: number
  /** Unique within one builder. */
  readonly id: number
}

export interface IrNode {
  readonly op: Opcode
  readonly inputs: readonly IrValue[]
  /** Attributes as the program contract encodes them. */
  readonly numbers: readonly number[]
  /** Named attributes, for shape-free rules of the op's record. Absent on nodes only the compiler makes. */
  readonly attrs: Attrs
  readonly outputs: readonly IrValue[]
  /** Bytes of a constant. */
  readonly data?: TypedArray
  readonly loop?: Loop
}

/** A graph in topological order. `inputs` are nodes of op input; all of them are kept, used or not. */
export interface IrGraph {
  readonly nodes: readonly IrNode[]
  readonly inputs: readonly IrValue[]
  readonly outputs: readonly IrValue[]
}

/**
 * A loop region. Its node's inputs are values outside; each part has one body input per node input. Main part and tail part
 * have equal bodies over different row counts.
 */
export interface Loop {
  readonly extent: number
  readonly parts: readonly LoopPart[]
  /** Per node input: read slice by slice (its leading non-unit axis is the batch), or whole. */
  readonly sliced: readonly boolean[]
}

export interface LoopPart {
  /** First row of the batch that this part handles. */
  readonly start: number
  readonly rows: number
  readonly slices: number
  readonly lanes: number
  /** Slices [first, end) that run; absent when all do. */
  readonly run?: readonly [first: number, end: number]
  /** Body outputs stand in the order of `results`. */
  readonly body: IrGraph
  readonly results: readonly LoopResult[]
}

/** Where a body output lands: a slice of an output of the loop node, or the lane's accumulator in a `[lanes, …]` output. */
export interface LoopResult {
  readonly output: number
  readonly kind: 'slice' | 'lane'
}

export const bytesOf = (type: TensorType): number => sizeOf(type.shape) * bytesPerElement(type.dtype)

interface NodeExtras {
  readonly attrs?: Attrs
  readonly data?: TypedArray
  readonly loop?: Loop
}

export class IrBuilder {
  readonly nodes: IrNode[] = []
  private readonly seen = new Map<string, IrNode>()
  private values = 0

  /** Adds a node, or returns the outputs of an equal one. */
  add(
    op: Opcode,
    inputs: readonly IrValue[],
    numbers: readonly number[],
    types: readonly TensorType[],
    extras: NodeExtras = {},
  ): readonly IrValue[] {
    const key = extras.loop ? undefined : this.keyOf(op, inputs, numbers, types, extras.data)
    const known = key === undefined ? undefined : this.seen.get(key)
    if (known) return known.outputs
    const outputs: IrValue[] = []
    const node: IrNode = {
      op,
      inputs,
      numbers,
      attrs: extras.attrs ?? {},
      outputs,
      ...(extras.data && { data: extras.data }),
      ...(extras.loop && { loop: extras.loop }),
    }
    for (const [index, { shape, dtype }] of types.entries()) outputs.push({ node, index, id: this.values++, shape, dtype })
    this.nodes.push(node)
    if (key !== undefined) this.seen.set(key, node)
    return outputs
  }

  /** A copy of `node` over other inputs, and other output types when given. */
  clone(node: IrNode, inputs: readonly IrValue[], types: readonly TensorType[] = node.outputs): readonly IrValue[] {
    return this.add(node.op, inputs, node.numbers, types, {
      attrs: node.attrs,
      ...(node.data && { data: node.data }),
      ...(node.loop && { loop: node.loop }),
    })
  }

  constant(data: TypedArray, type: TensorType): IrValue {
    return this.add('constant', [], [], [type], { data })[0]
  }

  input(index: number, type: TensorType): IrValue {
    return this.add('input', [], [index], [type])[0]
  }

  reshape(x: IrValue, shape: readonly number[]): IrValue {
    return this.add('reshape', [x], [], [{ shape, dtype: x.dtype }], { attrs: { shape } })[0]
  }

  private keyOf(
    op: Opcode,
    inputs: readonly IrValue[],
    numbers: readonly number[],
    types: readonly TensorType[],
    data?: TypedArray,
  ): string | undefined {
    // Large constants are not compared element by element: the graph has shared equal ones already.
    if (data && data.length > 64) return undefined
    const shapes = types.map((t) => `${t.dtype}${t.shape}`).join(';')
    return `${op}|${inputs.map((v) => v.id)}|${numbers.map(exact)}|${shapes}|${data ? Array.from(data, exact) : ''}`
  }
}

/** Text that keeps apart 0 and -0. */
const exact = (x: number): string => (Object.is(x, -0) ? '-0' : String(x))

/** Nodes that the outputs need, and all inputs, in topological order. */
export function liveNodes(graph: IrGraph): IrNode[] {
  const live = new Set<IrNode>(graph.inputs.map((v) => v.node))
  for (const output of graph.outputs) live.add(output.node)
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    if (live.has(graph.nodes[i])) for (const input of graph.nodes[i].inputs) live.add(input.node)
  }
  return graph.nodes.filter((node) => live.has(node))
}

/** What a rewrite makes of one node: the values that stand for its outputs. */
export type Rewriter = (node: IrNode, inputs: readonly IrValue[], builder: IrBuilder) => readonly IrValue[]

/** Rebuilds the live part of a graph node by node; equal nodes become one. */
export function rewrite(graph: IrGraph, rewriter: Rewriter): IrGraph {
  const builder = new IrBuilder()
  const replaced = new Map<IrValue, IrValue>()
  const get = (v: IrValue): IrValue => replaced.get(v)!
  for (const node of liveNodes(graph)) {
    const outputs = rewriter(node, node.inputs.map(get), builder)
    for (const [i, output] of node.outputs.entries()) replaced.set(output, outputs[i])
  }
  const result = { nodes: builder.nodes, inputs: graph.inputs.map(get), outputs: graph.outputs.map(get) }
  return { ...result, nodes: liveNodes(result) }
}

/** Applies `pass` to the bodies of a loop. */
export function mapBodies(loop: Loop, pass: (body: IrGraph, part: LoopPart) => IrGraph): Loop {
  return { ...loop, parts: loop.parts.map((part) => ({ ...part, body: pass(part.body, part) })) }
}
