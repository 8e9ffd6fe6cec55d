/** @file No-gradient embedding of 256 images: the dominant part of a DM step. Value: mean of the embedding. */
import { bindProgram } from '../../dist/engine/bound-program.js'
import { mean } from '../../dist/engine/index.js'
import { normalArray, parameterArrays, parameterInputs, pickParameters, readScalar, scalarArray } from './arrays.mjs'
import { grouped, image, network } from './network.mjs'

const rows = 256

export function prepare(device) {
  const program = bindProgram(device, {
    inputs: { x: { shape: [rows, ...image] }, ...parameterInputs(network) },
    outputs: { value: {} },
    build: (v) => ({ value: mean(network.apply(pickParameters(network, v), grouped(v.x)).embedding) }),
  })
  const value = scalarArray(device)
  const arrays = { x: normalArray(device, [rows, ...image], 1), value, ...parameterArrays(device, network) }
  return {
    plans: [program.plan],
    async step() {
      await program.run(arrays)
      return readScalar(value)
    },
  }
}
