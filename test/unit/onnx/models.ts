/** @file Small ONNX models, sound and hostile. */
import protobuf from 'protobufjs/minimal.js'
import { encodeModel, type OnnxModel } from '../../../src/export/onnx/encode-model.js'
import { graphField, modelField, nodeField, tensorField } from '../../../src/export/onnx/schema.js'

/** Images [N, 1, 2, 2] -> three logits, the first the mean pixel, the others 0. */
export const meanModel: OnnxModel = {
  name: 'mean',
  producer: { name: 'test', version: '1' },
  metadata: {},
  nodes: [
    { op: 'Flatten', inputs: ['images'], output: 'rows', attributes: { axis: 1 } },
    { op: 'MatMul', inputs: ['rows', 'weight'], output: 'logits', attributes: {} },
  ],
  initializers: [{ name: 'weight', dims: [4, 3], dtype: 'f32', data: Float32Array.of(0.25, 0, 0, 0.25, 0, 0, 0.25, 0, 0, 0.25, 0, 0) }],
  input: { name: 'images', dims: ['batch', 1, 2, 2] },
  output: { name: 'logits', dims: ['batch', 3] },
}

export const encoded = (changes: Partial<OnnxModel> = {}): Promise<Uint8Array> => encodeModel({ ...meanModel, ...changes })

type Body = (w: protobuf.Writer) => void

const message = (w: protobuf.Writer, field: number, body: Body) => {
  w.uint32((field << 3) | 2).fork()
  body(w)
  w.ldelim()
}

const text = (w: protobuf.Writer, field: number, value: string) => w.uint32((field << 3) | 2).string(value)
const whole = (w: protobuf.Writer, field: number, value: number) => w.uint32(field << 3).int64(value)

/** A model with nothing but what `body` writes into its graph. */
export function graphOf(body: Body): Uint8Array {
  const w = protobuf.Writer.create()
  whole(w, modelField.irVersion, 8)
  message(w, modelField.graph, body)
  return Uint8Array.from(w.finish())
}

export const tensor =
  (fields: Body): Body =>
  (w) =>
    message(w, graphField.initializer, (inner) => {
      text(inner, tensorField.name, 'weight')
      fields(inner)
    })

/** A tensor whose elements lie in another file, by its location or by its list of where. */
export const externalTensor = (how: 'location' | 'entries'): Uint8Array =>
  graphOf(
    tensor((w) => {
      whole(w, tensorField.dims, 4)
      whole(w, tensorField.dataType, 1)
      if (how === 'location') whole(w, tensorField.dataLocation, 1)
      else
        message(w, tensorField.externalData, (entry) => {
          text(entry, 1, 'location')
          text(entry, 2, '../secret')
        })
    }),
  )

/** The external tensor inside an attribute of a node of a subgraph of a node. */
export const nestedExternalTensor = (): Uint8Array =>
  graphOf((w) =>
    message(w, graphField.node, (node) => {
      text(node, nodeField.opType, 'If')
      message(node, nodeField.attribute, (attribute) =>
        message(attribute, 6, (graph) =>
          message(graph, graphField.node, (inner) =>
            message(inner, nodeField.attribute, (value) => message(value, 5, (t) => whole(t, tensorField.dataLocation, 1))),
          ),
        ),
      )
    }),
  )

export const sizedTensor = (dims: readonly number[], bytes: number): Uint8Array =>
  graphOf(
    tensor((w) => {
      for (const dim of dims) whole(w, tensorField.dims, dim)
      whole(w, tensorField.dataType, 1)
      w.uint32((tensorField.rawData << 3) | 2).bytes(new Uint8Array(bytes))
    }),
  )

/** Graphs inside graphs, `depth` of them. */
export function deepModel(depth: number): Uint8Array {
  const nest = (left: number): Body => {
    if (left === 0) return () => undefined
    return (graph) =>
      message(graph, graphField.node, (node) => message(node, nodeField.attribute, (attribute) => message(attribute, 6, nest(left - 1))))
  }
  return graphOf(nest(depth))
}

export const loopModel = (): Uint8Array =>
  graphOf((w) =>
    message(w, graphField.node, (node) => {
      text(node, nodeField.name, 'forever')
      text(node, nodeField.opType, 'Loop')
    }),
  )
