/** @file The ONNX graph under construction, and what the operators' writers ask of the trace behind it. */
import { interpret, type RefTensor, topologicalOrder, type Value } from '../../engine/index.js'
import { AludelError } from '../../errors.js'
import type { OnnxAttribute, OnnxNode, OnnxTensor } from './encode-model.js'
import type { ConstantTensor, Form, PiecewiseTensor } from './forms.js'

/** A tensor of the network that the trace has as an input. */
export interface NamedTensor {
  readonly name: string
  readonly data: Float32Array
}

/** Writes one traced value (an output of some op that depends on the images) and returns how it stands in ONNX. */
export type WriteValue = (value: Value, writer: GraphWriter) => Form

export class GraphWriter {
  readonly nodes: OnnxNode[] = []
  readonly initializers: OnnxTensor[] = []
  /** Images of the trace's batch. */
  readonly rows: number
  readonly #network: string
  readonly #tensors: readonly (NamedTensor | undefined)[]
  readonly #write: WriteValue
  readonly #forms = new Map<Value, Form>()
  readonly #varying: ReadonlySet<Value>
  readonly #users = new Map<Value, number>()
  readonly #names = new Set<string>()

  /** `tensors` by index of the trace's inputs; that of the images is absent. */
  constructor(network: string, images: Value, logits: Value, tensors: readonly (NamedTensor | undefined)[], write: WriteValue) {
    this.#network = network
    this.rows = images.shape[1]
    this.#tensors = tensors
    this.#write = write
    this.#forms.set(images, { kind: 'map', name: 'images' })
    this.#names.add('images').add('logits')
    const varying = new Set([images])
    for (const node of topologicalOrder([logits])) {
      if (node.inputs.some((v) => varying.has(v))) for (const v of node.outputs) varying.add(v)
      for (const v of new Set(node.inputs)) this.#users.set(v, (this.#users.get(v) ?? 0) + 1)
    }
    this.#varying = varying
  }

  /** Gives a value the form that a caller has written for it. */
  setForm(value: Value, form: Form): void {
    this.#forms.set(value, form)
  }

  /** Whether the value depends on the images. */
  varies(value: Value): boolean {
    return this.#varying.has(value)
  }

  /** Whether one node alone reads the value: it may be written as part of that node. */
  usedOnce(value: Value): boolean {
    return this.#users.get(value) === 1
  }

  /** The value in ONNX; written with all it needs when this is its first use. */
  form(value: Value): Form {
    const known = this.#forms.get(value)
    if (known) return known
    const form = this.#write(value, this)
    this.#forms.set(value, form)
    return form
  }

  map(value: Value): string {
    const form = this.form(value)
    if (form.kind !== 'map') throw this.refuse(value, 'reads rows where only feature maps [G, N, H, W, C] have a form')
    return form.name
  }

  /** Adds a node and returns the name of its output. */
  node(op: string, inputs: readonly string[], attributes: Readonly<Record<string, OnnxAttribute>> = {}): string {
    const output = this.#fresh(op.toLowerCase())
    this.nodes.push({ op, inputs, output, attributes })
    return output
  }

  /** Adds a constant under the name of the network's tensor that it comes from, or another when that is taken. */
  constant(name: string, { shape, data }: PiecewiseTensor): string {
    const own = this.#fresh(name)
    this.initializers.push({ name: own, dims: shape, dtype: 'f32', data })
    return own
  }

  /** Adds the target of a Reshape. */
  shape(dims: readonly number[]): string {
    const name = this.#fresh('shape')
    this.initializers.push({ name, dims: [dims.length], dtype: 'i64', data: BigInt64Array.from(dims, BigInt) })
    return name
  }

  /** What a value that depends on parameters alone holds: computed now, so that the model does not compute it for every batch. */
  tensor(value: Value): ConstantTensor {
    const data = this.#stored(value)?.data ?? this.#computed(value)
    return { shape: value.shape, data }
  }

  /** The name of the tensor behind a value that depends on parameters alone. */
  nameOf(value: Value): string {
    const inputs = topologicalOrder([value]).filter(({ op }) => op === 'input')
    return (inputs.length > 0 && this.#tensors[inputs[0].attrs.index as number]?.name) || 'constant'
  }

  /** The error of a value that ONNX cannot be given for. */
  refuse(value: Value, why: string): AludelError {
    return new AludelError('invalid_option', `network '${this.#network}' has no ONNX form: its op ${value.node.op} ${why}`)
  }

  /** The network's own tensor, when the value is nothing but that under another shape. */
  #stored({ node }: Value): NamedTensor | undefined {
    if (node.op === 'reshape') return this.#stored(node.inputs[0])
    return node.op === 'input' ? this.#tensors[node.attrs.index as number] : undefined
  }

  #computed(value: Value): Float32Array {
    const inputs: RefTensor[] = []
    for (const { op, attrs, outputs } of topologicalOrder([value])) {
      if (op !== 'input') continue
      const index = attrs.index as number
      inputs[index] = { shape: outputs[0].shape, data: Float64Array.from(this.#tensors[index]?.data ?? []) }
    }
    return Float32Array.from(interpret([value], inputs)[0].data)
  }

  #fresh(stem: string): string {
    let name = stem
    for (let i = 1; this.#names.has(name); i++) name = `${stem}_${i}`
    this.#names.add(name)
    return name
  }
}
