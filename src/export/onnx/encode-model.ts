/** @file An ONNX model as values, and its bytes. Equal models, equal bytes. */
import protobuf from 'protobufjs/minimal.js'
import { sizeOf } from '../../engine/tensor/shape.js'
import { Turn } from '../../event-loop.js'
import {
  attributeField,
  attributeType,
  dimensionField,
  elementType,
  entryField,
  graphField,
  irVersion,
  modelField,
  nodeField,
  opset,
  opsetField,
  shapeField,
  tensorField,
  tensorTypeField,
  typeField,
  valueInfoField,
} from './schema.js'

type Writer = protobuf.Writer

/** A float attribute is written `{ float }`: a whole number alone is an int. */
export type OnnxAttribute = number | readonly number[] | { readonly float: number }

export interface OnnxNode {
  readonly op: string
  readonly inputs: readonly string[]
  readonly output: string
  readonly attributes: Readonly<Record<string, OnnxAttribute>>
}

export interface OnnxTensor {
  readonly name: string
  readonly dims: readonly number[]
  readonly dtype: 'f32' | 'i64'
  readonly data: Float32Array | BigInt64Array | (() => Iterable<Float32Array>)
}

/** A float32 input or output. A dimension that is a name is free. */
export interface OnnxPort {
  readonly name: string
  readonly dims: readonly (number | string)[]
}

export interface OnnxModel {
  readonly name: string
  readonly producer: { readonly name: string; readonly version: string }
  readonly metadata: Readonly<Record<string, string>>
  readonly nodes: readonly OnnxNode[]
  readonly initializers: readonly OnnxTensor[]
  readonly input: OnnxPort
  readonly output: OnnxPort
}

const wire = { varint: 0, bytes: 2, fixed32: 5 } as const

const text = (w: Writer, field: number, value: string): Writer => w.uint32((field << 3) | wire.bytes).string(value)
const whole = (w: Writer, field: number, value: number): Writer => w.uint32((field << 3) | wire.varint).int64(value)
/** Tag and length of a message whose `length` bytes follow. */
const start = (w: Writer, field: number, length: number): Writer => w.uint32((field << 3) | wire.bytes).uint32(length)

function message(w: Writer, field: number, body: () => void): void {
  w.uint32((field << 3) | wire.bytes).fork()
  body()
  w.ldelim()
}

function written(body: (w: Writer) => void): Uint8Array {
  const w = protobuf.Writer.create()
  body(w)
  return w.finish()
}

/** The file's bytes. Tensors come into their places piece by piece, with turns for the event loop in between. */
export async function encodeModel(model: OnnxModel): Promise<Uint8Array> {
  const { name, producer, metadata, nodes, initializers, input, output } = model
  const operators = written((w) => {
    nodes.forEach((node, i) => {
      message(w, graphField.node, () => writeNode(w, node, `${node.op}_${i}`))
    })
    text(w, graphField.name, name)
  })
  const tensors = initializers.map((tensor) => ({ tensor, head: tensorHead(tensor), bytes: dataBytes(tensor) }))
  const ports = written((w) => {
    message(w, graphField.input, () => writePort(w, input))
    message(w, graphField.output, () => writePort(w, output))
  })
  const graphBytes = operators.length + ports.length + tensors.reduce((n, { head, bytes }) => n + head.length + bytes, 0)
  const head = written((w) => {
    whole(w, modelField.irVersion, irVersion)
    text(w, modelField.producerName, producer.name)
    text(w, modelField.producerVersion, producer.version)
    start(w, modelField.graph, graphBytes)
  })
  const tail = written((w) => {
    message(w, modelField.opsetImport, () => {
      text(w, opsetField.domain, '')
      whole(w, opsetField.version, opset)
    })
    for (const entry of Object.entries(metadata)) message(w, modelField.metadataProps, () => writeEntry(w, entry))
  })
  const file = new Uint8Array(head.length + graphBytes + tail.length)
  let offset = 0
  const append = (bytes: Uint8Array) => {
    file.set(bytes, offset)
    offset += bytes.length
  }
  append(head)
  append(operators)
  const turn = new Turn()
  for (const { tensor, head: before } of tensors) {
    append(before)
    for (const data of typeof tensor.data === 'function' ? tensor.data() : [tensor.data]) {
      await turn.breathe()
      append(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    }
  }
  append(ports)
  append(tail)
  return file
}

const dataBytes = ({ dims, dtype }: OnnxTensor): number => sizeOf(dims) * (dtype === 'f32' ? 4 : 8)

/** Everything of an initializer but its elements, which are its last field. */
function tensorHead(tensor: OnnxTensor): Uint8Array {
  const { name, dims, dtype } = tensor
  const bytes = dataBytes(tensor)
  const fields = written((w) => {
    for (const dim of dims) whole(w, tensorField.dims, dim)
    whole(w, tensorField.dataType, dtype === 'f32' ? elementType.float : elementType.int64)
    text(w, tensorField.name, name)
    start(w, tensorField.rawData, bytes)
  })
  const before = written((w) => start(w, graphField.initializer, fields.length + bytes))
  const head = new Uint8Array(before.length + fields.length)
  head.set(before)
  head.set(fields, before.length)
  return head
}

function writeEntry(w: Writer, [key, value]: readonly [string, string]): void {
  text(w, entryField.key, key)
  text(w, entryField.value, value)
}

function writeNode(w: Writer, { op, inputs, output, attributes }: OnnxNode, name: string): void {
  for (const input of inputs) text(w, nodeField.input, input)
  text(w, nodeField.output, output)
  text(w, nodeField.name, name)
  text(w, nodeField.opType, op)
  for (const [key, value] of Object.entries(attributes)) {
    message(w, nodeField.attribute, () => writeAttribute(w, key, value))
  }
}

function writeAttribute(w: Writer, name: string, value: OnnxAttribute): void {
  text(w, attributeField.name, name)
  if (typeof value === 'number') {
    whole(w, attributeField.i, value)
    whole(w, attributeField.type, attributeType.int)
  } else if ('float' in value) {
    w.uint32((attributeField.f << 3) | wire.fixed32).float(value.float)
    whole(w, attributeField.type, attributeType.float)
  } else {
    for (const one of value) whole(w, attributeField.ints, one)
    whole(w, attributeField.type, attributeType.ints)
  }
}

function writePort(w: Writer, { name, dims }: OnnxPort): void {
  text(w, valueInfoField.name, name)
  message(w, valueInfoField.type, () => {
    message(w, typeField.tensorType, () => {
      whole(w, tensorTypeField.elemType, elementType.float)
      message(w, tensorTypeField.shape, () => {
        for (const dim of dims) {
          message(w, shapeField.dim, () => {
            if (typeof dim === 'number') whole(w, dimensionField.value, dim)
            else text(w, dimensionField.parameter, dim)
          })
        }
      })
    })
  })
}
