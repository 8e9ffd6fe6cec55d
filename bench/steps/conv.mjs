/**
 * @file The convolutions of the ConvNet one by one: forward, input gradient and weight gradient of its four layers, batch 256 (of a GPU 2560, a
 * DM step's). TFLOP/s count every product with the padding's zeros, as is usual. Value: how many there are.
 */
import { bindProgram } from '../../dist/engine/bound-program.js'
import { conv2d, conv2dInputGrad, conv2dWeightGrad } from '../../dist/engine/index.js'
import { isGpu } from '../../dist/engine/isa.js'
import { median, round } from '../lib/timer.mjs'
import { drawn } from './arrays.mjs'

/** [in channels, out channels, side of the map]. */
export const layers = [
  [3, 128, 32],
  [128, 128, 32],
  [128, 128, 16],
  [128, 128, 8],
]
const pad = { pad: 1 }

/** The three programs of a layer: inputs by name, and what is built of them. */
export const convolutions = ([c, k, size], rows) => {
  const x = { shape: [1, rows, size, size, c] }
  const dy = { shape: [1, rows, size, size, k] }
  const w = { shape: [1, 3, 3, c, k] }
  return {
    forward: { inputs: { x, w }, build: (v) => ({ y: conv2d(v.x, v.w, undefined, pad) }), outputs: { y: dy } },
    'input gradient': { inputs: { dy, w }, build: (v) => ({ dx: conv2dInputGrad(v.dy, v.w, size, size, pad) }), outputs: { dx: x } },
    'weight gradient': {
      inputs: { x, dy },
      build: (v) => ({ dw: Object.values(conv2dWeightGrad(v.x, v.dy, 3, 3, pad))[0] }),
      outputs: { dw: w },
    },
  }
}

export const convFlops = ([c, k, size], rows) => 2 * rows * size * size * k * c * 9

export function prepare(device) {
  const gpu = isGpu(device.isa)
  const rows = gpu ? 2560 : 256
  const n = gpu ? 10 : 1
  const entries = []
  for (const layer of layers) {
    for (const [what, { inputs, build, outputs }] of Object.entries(convolutions(layer, rows))) {
      const program = bindProgram(device, {
        inputs,
        outputs: Object.fromEntries(Object.keys(outputs).map((name) => [name, {}])),
        build,
      })
      const name = `${layer[0]}->${layer[1]} ${layer[2]}x${layer[2]} ${what}`
      entries.push({ name, program, shapes: { ...inputs, ...outputs }, flops: convFlops(layer, rows), seconds: [] })
    }
  }
  return {
    plans: entries.map(({ program }) => program.plan),
    work: { flops: n * entries.reduce((sum, { flops }) => sum + flops, 0), bytes: 0 },
    async step() {
      // One at a time: the maps of a batch of 2560 take gigabytes.
      for (const { program, shapes, seconds } of entries) {
        const arrays = {}
        for (const [name, { shape }] of Object.entries(shapes)) arrays[name] = await drawn(device, shape)
        await program.run(arrays)
        await program.run(arrays)
        const start = performance.now()
        await program.run(arrays, { n })
        seconds.push((performance.now() - start) / 1000 / n)
        for (const array of Object.values(arrays)) array.dispose()
      }
      return entries.length
    },
    report: () =>
      Object.fromEntries(
        entries.map(({ name, flops, seconds }) => [
          name,
          { ms: round(1000 * median(seconds)), tflop_s: round(flops / median(seconds) / 1e12, 3) },
        ]),
      ),
  }
}
