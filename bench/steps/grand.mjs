/** @file GraNd of 256 images: norms of the gradients of single samples in all parameters. Value: the norm of the first image. */

import { bindProgram } from '../../dist/engine/bound-program.js'
import { gradientNorms } from '../../dist/scores/grand.js'
import { normalArray, parameterArrays, parameterInputs, pickParameters, zeros } from './arrays.mjs'
import { classes, image, network } from './network.mjs'

export const samples = 256

/** Inputs of a program over the batch, and their arrays. */
export const batchInputs = {
  ...parameterInputs(network),
  ...{ images: { shape: [samples, ...image] }, labels: { shape: [samples], dtype: 'i32' } },
}
export const batchArrays = (device) => ({
  ...parameterArrays(device, network),
  images: normalArray(device, [samples, ...image], 1),
  labels: device.array(
    'i32',
    [samples],
    Int32Array.from({ length: samples }, (_, i) => i % classes),
  ),
})

export const bindNorms = (device) =>
  bindProgram(device, {
    inputs: batchInputs,
    outputs: { norm: {} },
    build: (v) => ({ norm: gradientNorms(network, pickParameters(network, v), v.images, v.labels).norm }),
  })

export function prepare(device) {
  const program = bindNorms(device)
  const arrays = { ...batchArrays(device), norm: zeros(device, [samples]) }
  return {
    plans: [program.plan],
    async step() {
      await program.run(arrays)
      return (await arrays.norm.read())[0]
    },
  }
}
