/**
 * @file What memory gives: a gigabyte (of a CPU 256 MB) copied by a program, many times in one crossing. GB/s count the bytes read and those written.
 * Value: how often.
 */
import { bindProgram } from '../../dist/engine/bound-program.js'
import { isGpu } from '../../dist/engine/isa.js'

export function prepare(device) {
  const gpu = isGpu(device.isa)
  const n = gpu ? 50 : 4
  const shape = [gpu ? 2 ** 28 : 2 ** 26]
  const program = bindProgram(device, { inputs: { x: { shape } }, outputs: { y: {} }, build: ({ x }) => ({ y: x }) })
  const arrays = { x: device.array('f32', shape), y: device.array('f32', shape) }
  return {
    plans: [program.plan],
    work: { flops: 0, bytes: 2 * n * arrays.x.bytes },
    async step() {
      await program.run(arrays, { n })
      return n
    },
  }
}
