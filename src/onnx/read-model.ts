/**
 * @file What an ONNX file says of itself, read without running it. Files come from strangers: every length is checked against the bytes
 * there are, nesting is bounded, and what would make a runtime open other files, or never end, is refused.
 */
import protobuf from 'protobufjs/minimal.js'
import { AludelError } from '../errors.js'
import {
  attributeField,
  dimensionField,
  entryField,
  functionField,
  graphField,
  modelField,
  nodeField,
  opsetField,
  shapeField,
  sparseTensorField,
  tensorField,
  tensorTypeField,
  trainingField,
  typeField,
  valueInfoField,
} from '../export/onnx/schema.js'

/** An input or output. A dimension is a number, or text (its name, or '' for none) when it is free. */
export interface ModelPort {
  readonly name: string
  /** ONNX's element type, 1 for float32; 0 for what is no tensor. */
  readonly elementType: number
  /** Undefined when the file leaves even the number of dimensions open. */
  readonly dims: readonly (number | string)[] | undefined
}

export interface ModelTensor {
  readonly dims: readonly number[]
  readonly elementType: number
  /** Little-endian elements, when they are stored as raw data. */
  readonly data: Uint8Array | undefined
}

export interface OnnxFile {
  readonly irVersion: number
  /** Version by domain; '' is ONNX's own. */
  readonly opsets: Readonly<Record<string, number>>
  readonly producer: string
  readonly metadata: Readonly<Record<string, string>>
  /** Those that have no initial value: what a run must be given. */
  readonly inputs: readonly ModelPort[]
  readonly outputs: readonly ModelPort[]
  /** Operators by name, each once, in order of first use, those of subgraphs included. */
  readonly operators: readonly string[]
  readonly tensors: ReadonlyMap<string, ModelTensor>
}

const maxDepth = 32
const externalLocation = 1
/** Bytes of one element by ONNX's type number, for those whose raw size is whole. */
const elementBytes: Readonly<Record<number, number>> = {
  ...{ 1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 14: 8, 15: 16, 16: 2 },
}
/** Operators that may run for as long as they like. */
const endless = ['Loop', 'Scan']

type Handler = (field: number, wire: number) => boolean

class ModelReader {
  readonly #reader: protobuf.Reader
  readonly #fileBytes: number
  readonly operators = new Set<string>()

  constructor(bytes: Uint8Array) {
    this.#reader = protobuf.Reader.create(bytes)
    this.#fileBytes = bytes.length
  }

  /** Reads fields up to `end`; those that `handle` does not take are skipped. */
  #fields(end: number, handle: Handler): void {
    const reader = this.#reader
    while (reader.pos < end) {
      const tag = reader.uint32()
      if (tag >>> 3 === 0) throw new Error(`field number 0 at byte ${reader.pos}`)
      if (!handle(tag >>> 3, tag & 7)) reader.skipType(tag & 7)
    }
    if (reader.pos !== end) throw new Error(`a message ends at byte ${end} but its last field at ${reader.pos}`)
  }

  /** The fields of an embedded message. */
  #message(wire: number, handle: Handler): true {
    const reader = this.#reader
    if (wire !== 2) throw new Error(`expected a message at byte ${reader.pos}`)
    const length = reader.uint32()
    if (reader.pos + length > reader.len) throw new Error(`a message of ${length} bytes at byte ${reader.pos} runs past the end`)
    this.#fields(reader.pos + length, handle)
    return true
  }

  #whole(): number {
    const value: unknown = this.#reader.int64()
    const n = Number(String(value))
    if (!Number.isSafeInteger(n)) throw new Error(`the number ${n} at byte ${this.#reader.pos}`)
    return n
  }

  /** A repeated number, packed or not. */
  #numbers(wire: number, into: number[]): true {
    if (wire !== 2) into.push(this.#whole())
    else {
      const end = this.#reader.uint32() + this.#reader.pos
      while (this.#reader.pos < end) into.push(this.#whole())
    }
    return true
  }

  model(): OnnxFile {
    let [irVersion, producer, version] = [0, '', '']
    const opsets: [string, number][] = []
    const metadata: [string, string][] = []
    let graph: ReturnType<ModelReader['graph']> | undefined
    this.#fields(this.#reader.len, (field, wire) => {
      if (field === modelField.irVersion) irVersion = this.#whole()
      else if (field === modelField.producerName) producer = this.#reader.string()
      else if (field === modelField.producerVersion) version = this.#reader.string()
      else if (field === modelField.graph) graph = this.graph(wire, 0)
      else if (field === modelField.opsetImport) opsets.push(this.#opset(wire))
      else if (field === modelField.metadataProps) metadata.push(this.#entry(wire))
      else if (field === modelField.trainingInfo) this.#training(wire)
      else if (field === modelField.functions) this.#function(wire)
      else return false
      return true
    })
    if (!graph) throw new Error('it holds no graph')
    const { tensors } = graph
    return {
      irVersion,
      opsets: Object.fromEntries(opsets),
      producer: `${producer} ${version}`.trim(),
      metadata: Object.fromEntries(metadata),
      inputs: graph.inputs.filter(({ name }) => !tensors.has(name)),
      outputs: graph.outputs,
      operators: [...this.operators],
      tensors,
    }
  }

  #opset(wire: number): [string, number] {
    let [domain, version] = ['', 0]
    this.#message(wire, (field) => {
      if (field === opsetField.domain) domain = this.#reader.string()
      else if (field === opsetField.version) version = this.#whole()
      else return false
      return true
    })
    return [domain === 'ai.onnx' ? '' : domain, version]
  }

  #entry(wire: number): [string, string] {
    let [key, value] = ['', '']
    this.#message(wire, (field) => {
      if (field === entryField.key) key = this.#reader.string()
      else if (field === entryField.value) value = this.#reader.string()
      else return false
      return true
    })
    return [key, value]
  }

  #training(wire: number): void {
    this.#message(wire, (field, inner) => {
      if (field !== trainingField.initialization && field !== trainingField.algorithm) return false
      this.graph(inner, 1)
      return true
    })
  }

  #function(wire: number): void {
    this.#message(wire, (field, inner) => {
      if (field === functionField.node) this.#node(inner, 1)
      else if (field === functionField.attributeProto) this.#attribute(inner, 1)
      else return false
      return true
    })
  }

  graph(wire: number, depth: number) {
    if (depth > maxDepth) throw new Error(`graphs nest deeper than ${maxDepth}`)
    const inputs: ModelPort[] = []
    const outputs: ModelPort[] = []
    const tensors = new Map<string, ModelTensor>()
    this.#message(wire, (field, inner) => {
      if (field === graphField.node) this.#node(inner, depth)
      else if (field === graphField.initializer) {
        const { name, ...tensor } = this.#tensor(inner)
        tensors.set(name, tensor)
      } else if (field === graphField.sparseInitializer) this.#sparse(inner)
      else if (field === graphField.input) inputs.push(this.#port(inner))
      else if (field === graphField.output) outputs.push(this.#port(inner))
      else return false
      return true
    })
    return { inputs, outputs, tensors }
  }

  #node(wire: number, depth: number): void {
    let [name, op, domain] = ['', '', '']
    this.#message(wire, (field, inner) => {
      if (field === nodeField.name) name = this.#reader.string()
      else if (field === nodeField.opType) op = this.#reader.string()
      else if (field === nodeField.domain) domain = this.#reader.string()
      else if (field === nodeField.attribute) this.#attribute(inner, depth)
      else return false
      return true
    })
    this.operators.add(domain === '' || domain === 'ai.onnx' ? op : `${domain}.${op}`)
    if (endless.includes(op)) throw new Error(`node '${name}' is a ${op}, which may never end; unroll it`)
  }

  #attribute(wire: number, depth: number): void {
    this.#message(wire, (field, inner) => {
      if (field === attributeField.t || field === attributeField.tensors) this.#tensor(inner)
      else if (field === attributeField.g || field === attributeField.graphs) this.graph(inner, depth + 1)
      else if (field === attributeField.sparseTensor || field === attributeField.sparseTensors) this.#sparse(inner)
      else return false
      return true
    })
  }

  #sparse(wire: number): void {
    this.#message(wire, (field, inner) => {
      if (field !== sparseTensorField.values && field !== sparseTensorField.indices) return false
      this.#tensor(inner)
      return true
    })
  }

  #tensor(wire: number): ModelTensor & { readonly name: string } {
    let [name, elementType, external] = ['', 0, false]
    const dims: number[] = []
    let data: Uint8Array | undefined
    this.#message(wire, (field, inner) => {
      if (field === tensorField.dims) this.#numbers(inner, dims)
      else if (field === tensorField.dataType) elementType = this.#whole()
      else if (field === tensorField.name) name = this.#reader.string()
      else if (field === tensorField.rawData) data = this.#reader.bytes()
      else if (field === tensorField.dataLocation) external ||= this.#whole() === externalLocation
      else {
        external ||= field === tensorField.externalData
        return false
      }
      return true
    })
    if (external) {
      throw new Error(`tensor '${name}' lies in another file; models with external data are not opened: save it with its data inside`)
    }
    const count = dims.reduce((n, d) => n * d, 1)
    const bytes = count * (elementBytes[elementType] ?? 0)
    if (dims.some((d) => d < 0) || count > this.#fileBytes * 8) {
      throw new Error(`tensor '${name}' announces [${dims.join(', ')}] elements, more than the file can hold`)
    }
    if (data && elementBytes[elementType] && data.length !== bytes) {
      throw new Error(`tensor '${name}' announces ${bytes} bytes for [${dims.join(', ')}] but holds ${data.length}`)
    }
    return { name, dims, elementType, data }
  }

  #port(wire: number): ModelPort {
    let name = ''
    let elementType = 0
    let dims: (number | string)[] | undefined
    this.#message(wire, (field, inner) => {
      if (field === valueInfoField.name) name = this.#reader.string()
      else if (field === valueInfoField.type) {
        this.#message(inner, (kind, tensorWire) => {
          if (kind !== typeField.tensorType) return false
          return this.#message(tensorWire, (part, shapeWire) => {
            if (part === tensorTypeField.elemType) elementType = this.#whole()
            else if (part === tensorTypeField.shape) dims = this.#shape(shapeWire)
            else return false
            return true
          })
        })
      } else return false
      return true
    })
    return { name, elementType, dims }
  }

  #shape(wire: number): (number | string)[] {
    const dims: (number | string)[] = []
    this.#message(wire, (field, inner) => {
      if (field !== shapeField.dim) return false
      let dim: number | string = ''
      this.#message(inner, (part) => {
        if (part === dimensionField.value) dim = this.#whole()
        else if (part === dimensionField.parameter) dim = this.#reader.string()
        else return false
        return true
      })
      dims.push(dim)
      return true
    })
    return dims
  }
}

/** Reads and checks a model's bytes. Throws `invalid_data` naming `path` and the first thing that is wrong or refused. */
export function readModel(path: string, bytes: Uint8Array): OnnxFile {
  try {
    return new ModelReader(bytes).model()
  } catch (cause) {
    throw new AludelError('invalid_data', `${path}: not an ONNX model that can be used: ${(cause as Error).message}`, { cause })
  }
}
