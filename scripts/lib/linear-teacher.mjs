/** @file An encoder whose representations are fixed linear maps of the pixels, as an ONNX model: a teacher that answers in no time. */
import { writeFileSync } from 'node:fs'
import { encodeModel } from '../../dist/export/onnx/encode-model.js'

/** Writes a model of images [height, width, channels] with `dim` features to `path` and returns it. */
export async function writeLinearTeacher(path, { image: [height, width, channels], dim }) {
  const pixels = height * width * channels
  const data = Float32Array.from({ length: pixels * dim }, (_, i) => Math.sin(i * 12.9898) / Math.sqrt(pixels))
  const model = {
    ...{ name: 'linear', producer: { name: 'test', version: '1' }, metadata: {} },
    nodes: [
      { op: 'Flatten', inputs: ['images'], output: 'pixels', attributes: { axis: 1 } },
      { op: 'MatMul', inputs: ['pixels', 'weight'], output: 'features', attributes: {} },
    ],
    initializers: [{ name: 'weight', dims: [pixels, dim], dtype: 'f32', data }],
    input: { name: 'images', dims: ['batch', channels, height, width] },
    output: { name: 'features', dims: ['batch', dim] },
  }
  writeFileSync(path, await encodeModel(model))
  return path
}
