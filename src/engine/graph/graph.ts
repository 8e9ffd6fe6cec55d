/** @file The graph under construction: appends nodes, deduplicated by content. Creation order is a topological order. */
import { AludelError, expected } from '../../errors.js'
import type { Opcode } from '../ops/opcodes.js'
import type { Attrs, AttrValue, Node, TensorType, Value } from './node.js'

/** Output types of an op; injected so that the graph knows nothing of the op records. Throws AludelError when inputs do not fit. */
export type TypeRule = (op: Opcode, inputs: readonly TensorType[], attrs: Attrs) => readonly TensorType[]

export class Graph {
  readonly typeRule: TypeRule
  readonly #nodes: Node[] = []
  readonly #byContent = new Map<string, Node>()

  constructor(typeRule: TypeRule) {
    this.typeRule = typeRule
  }

  /** All nodes in creation order; `nodes[i].id === i`. */
  get nodes(): readonly Node[] {
    return this.#nodes
  }

  /**
   * The outputs of a node with this op, inputs and attributes: an existing one when the content is the same, else a new one.
   * @throws AludelError when the type rule refuses, or when an input belongs to another graph.
   */
  node(op: Opcode, inputs: readonly Value[], attrs: Attrs = {}): readonly Value[] {
    for (const input of inputs) {
      if (input.node.graph !== this) {
        throw new AludelError('internal', `${op}: an input belongs to another graph; pass it to the traced function as an argument`)
      }
    }
    const key = contentKey(op, inputs, attrs)
    const known = this.#byContent.get(key)
    if (known) return known.outputs
    const types = this.typeRule(op, inputs, attrs)
    const outputs: Value[] = []
    const node: Node = Object.freeze({
      graph: this,
      id: this.#nodes.length,
      op,
      inputs: Object.freeze([...inputs]),
      attrs: freezeAttrs(attrs),
      outputs,
    })
    types.forEach(({ shape, dtype }, index) => {
      outputs.push(Object.freeze({ node, index, shape: Object.freeze([...shape]), dtype }))
    })
    Object.freeze(outputs)
    this.#nodes.push(node)
    this.#byContent.set(key, node)
    return outputs
  }
}

function freezeAttrs(attrs: Attrs): Attrs {
  const entries = Object.entries(attrs).map(([name, value]) => [name, Array.isArray(value) ? Object.freeze([...value]) : value])
  return Object.freeze(Object.fromEntries(entries) as Attrs)
}

// Minus zero is another constant than zero, although both print as '0'.
const numberKey = (value: number): string => (Object.is(value, -0) ? '-0' : String(value))

function attrKey(op: Opcode, name: string, value: AttrValue): string {
  if (typeof value === 'number') return numberKey(value)
  if (Array.isArray(value)) return `[${value.map(numberKey).join()}]`
  if (typeof value === 'string' || typeof value === 'boolean' || value === undefined) return JSON.stringify(value)
  throw expected('invalid_option', op, `${name} to be a number, a text, true or false, or a list of numbers`, value)
}

function contentKey(op: Opcode, inputs: readonly Value[], attrs: Attrs): string {
  const sources = inputs.map((v) => `${v.node.id}.${v.index}`).join()
  const names = Object.keys(attrs).sort()
  return `${op}(${sources})${names.map((name) => `${name}=${attrKey(op, name, attrs[name])}`).join(';')}`
}
