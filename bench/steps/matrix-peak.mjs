/**
 * @file What products give: square matrices of 8192 (of a CPU 1024) multiplied by a program, many times in one crossing, at the precision of the
 * device. Value: how often.
 */
import { bindProgram } from '../../dist/engine/bound-program.js'
import { matmul } from '../../dist/engine/index.js'
import { isGpu } from '../../dist/engine/isa.js'
import { drawn } from './arrays.mjs'

export function prepare(device) {
  const gpu = isGpu(device.isa)
  const n = gpu ? 10 : 20
  const size = gpu ? 8192 : 1024
  const shape = [size, size]
  const program = bindProgram(device, {
    inputs: { a: { shape }, b: { shape } },
    outputs: { c: {} },
    build: ({ a, b }) => ({ c: matmul(a, b) }),
  })
  let arrays
  return {
    plans: [program.plan],
    work: { flops: 2 * n * size ** 3, bytes: 12 * n * size ** 2 },
    async step() {
      arrays ??= { a: await drawn(device, shape), b: await drawn(device, shape), c: device.array('f32', shape) }
      await program.run(arrays, { n })
      return n
    },
  }
}
