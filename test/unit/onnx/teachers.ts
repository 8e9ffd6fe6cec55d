/** @file Classifiers of colours: the mean of each channel decides, whatever the size of the image. */
import protobuf from 'protobufjs/minimal.js'
import { encodeModel, type OnnxModel } from '../../../src/export/onnx/encode-model.js'
import { graphField, modelField } from '../../../src/export/onnx/schema.js'

export interface TeacherOptions {
  /** Channel that each output follows; default 0, 1, 2. */
  readonly channels?: readonly number[]
  readonly batch?: number | string
  readonly side?: number | string
  readonly softmax?: boolean
  readonly metadata?: OnnxModel['metadata']
  /** Give the means of the channels too, as the output `features`. */
  readonly features?: boolean
}

/** A model of one logit for each of `channels`: 8 times the mean of its channel, of pixels as they are normalised. */
export async function teacher(options: TeacherOptions = {}): Promise<Uint8Array> {
  const { channels = [0, 1, 2], batch = 'batch', side = 'side', softmax = false, metadata = {}, features = false } = options
  const weight = new Float32Array(3 * channels.length)
  for (const [output, channel] of channels.entries()) weight[channel * channels.length + output] = 8
  const last = softmax ? 'raw' : 'logits'
  const model: OnnxModel = {
    name: 'teacher',
    producer: { name: 'test', version: '1' },
    metadata,
    nodes: [
      { op: 'GlobalAveragePool', inputs: ['images'], output: 'pooled', attributes: {} },
      { op: 'Flatten', inputs: ['pooled'], output: 'features', attributes: { axis: 1 } },
      { op: 'MatMul', inputs: ['features', 'weight'], output: last, attributes: {} },
      ...(softmax ? [{ op: 'Softmax', inputs: ['raw'], output: 'logits', attributes: { axis: 1 } }] : []),
    ],
    initializers: [{ name: 'weight', dims: [3, channels.length], dtype: 'f32', data: weight }],
    input: { name: 'images', dims: [batch, 3, side, side] },
    output: { name: 'logits', dims: [batch, channels.length] },
  }
  const bytes = await encodeModel(model)
  if (!features) return bytes
  const other = await encodeModel({ ...model, output: { name: 'features', dims: [batch, 3] } })
  return withOutput(bytes, outputsOf(other)[0])
}

/** The encoded outputs of a model's graph. */
function outputsOf(model: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = []
  eachField(model, (field, body) => {
    if (field === modelField.graph)
      eachField(body, (inner, bytes) => {
        if (inner === graphField.output) found.push(bytes)
      })
  })
  return found
}

/** The model with one output more: its fields as they are, the graph with the output appended. */
function withOutput(model: Uint8Array, output: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = []
  eachField(model, (field, body, raw) => {
    if (field !== modelField.graph) parts.push(raw)
    else {
      const w = protobuf.Writer.create()
      const extra = protobuf.Writer.create()
        .uint32((graphField.output << 3) | 2)
        .bytes(output)
        .finish()
      w.uint32((field << 3) | 2).bytes(Uint8Array.from([...body, ...extra]))
      parts.push(w.finish())
    }
  })
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}

function eachField(bytes: Uint8Array, visit: (field: number, body: Uint8Array, raw: Uint8Array) => void): void {
  const reader = protobuf.Reader.create(bytes)
  while (reader.pos < reader.len) {
    const start = reader.pos
    const tag = reader.uint32()
    const body = (tag & 7) === 2 ? reader.bytes() : new Uint8Array(0)
    if ((tag & 7) !== 2) reader.skipType(tag & 7)
    visit(tag >>> 3, body, bytes.subarray(start, reader.pos))
  }
}
