/** @file Field numbers of the ONNX messages that this package writes and reads (onnx.proto, IR version 8), and its element types. */

export const irVersion = 8
/** Operator set of written models: every operator used exists in it in its present form, and ONNX Runtime reads it since 1.10. */
export const opset = 17

export const modelField = {
  irVersion: 1,
  producerName: 2,
  producerVersion: 3,
  docString: 6,
  graph: 7,
  opsetImport: 8,
  metadataProps: 14,
  trainingInfo: 20,
  functions: 25,
} as const
export const opsetField = { domain: 1, version: 2 } as const
export const entryField = { key: 1, value: 2 } as const
export const graphField = { node: 1, name: 2, initializer: 5, input: 11, output: 12, sparseInitializer: 15 } as const
export const nodeField = { input: 1, output: 2, name: 3, opType: 4, attribute: 5, domain: 7 } as const
export const attributeField = {
  name: 1,
  f: 2,
  i: 3,
  t: 5,
  g: 6,
  ints: 8,
  tensors: 10,
  graphs: 11,
  type: 20,
  sparseTensor: 22,
  sparseTensors: 23,
} as const
export const attributeType = { float: 1, int: 2, ints: 7 } as const
export const tensorField = {
  dims: 1,
  dataType: 2,
  floatData: 4,
  int32Data: 5,
  stringData: 6,
  int64Data: 7,
  name: 8,
  rawData: 9,
  doubleData: 10,
  uint64Data: 11,
  externalData: 13,
  dataLocation: 14,
} as const
export const sparseTensorField = { values: 1, indices: 2 } as const
export const valueInfoField = { name: 1, type: 2 } as const
export const typeField = { tensorType: 1 } as const
export const tensorTypeField = { elemType: 1, shape: 2 } as const
export const shapeField = { dim: 1 } as const
export const dimensionField = { value: 1, parameter: 2 } as const
export const trainingField = { initialization: 1, algorithm: 2 } as const
export const functionField = { node: 7, attributeProto: 11 } as const

/** Numbers of `TensorProto.DataType`. */
export const elementType = { float: 1, int64: 7 } as const
