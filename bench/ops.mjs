/** @file `node bench/ops.mjs [FILTER] [--iters N] [--threads T]`: one JSON line per op case, with GFLOP/s and GB/s from the plan. */
import { bindProgram } from '../dist/engine/bound-program.js'
import { sizeOf, spec, trace } from '../dist/engine/index.js'
import { Device } from '../dist/engine/runtime/device.js'
import { normal } from '../dist/engine/tensor/philox.js'
import { opCases } from './lib/op-cases.mjs'
import { parseOptions, wholeNumber } from './lib/options.mjs'
import { measure, median, round } from './lib/timer.mjs'

const usage = 'node bench/ops.mjs [FILTER] [--iters N] [--threads T]'
const { values, positionals } = parseOptions({ iters: { type: 'string' }, threads: { type: 'string' } }, usage)
const iters = wholeNumber('iters', values.iters, 7, usage)
const threads = wholeNumber('threads', values.threads, undefined, usage)

/** Normal numbers for floats, zeros (a valid index everywhere) for integers, or the case's own rule. */
function fillOf({ shape, dtype = 'f32', fill }, stream) {
  if (fill) return Float32Array.from({ length: sizeOf(shape) }, (_, i) => fill(i))
  return dtype === 'f32' ? Float32Array.from(normal([20, 24], 0, stream, sizeOf(shape))) : undefined
}

async function runCase(device, { op, name, inputs, build }) {
  const names = inputs.map((_, i) => `in${i}`)
  const specs = inputs.map(({ shape, dtype = 'f32' }) => spec(shape, dtype))
  const shapes = trace(build, specs).outputs.map(({ shape, dtype }) => ({ shape, dtype }))
  const program = bindProgram(device, {
    inputs: Object.fromEntries(specs.map((input, i) => [names[i], input])),
    outputs: Object.fromEntries(shapes.map((_, i) => [`out${i}`, {}])),
    build: (v) => Object.fromEntries(build(...names.map((n) => v[n])).map((output, i) => [`out${i}`, output])),
  })
  const arrays = Object.fromEntries([
    ...inputs.map((input, i) => [names[i], device.array(input.dtype ?? 'f32', input.shape, fillOf(input, i))]),
    ...shapes.map(({ shape, dtype }, i) => [`out${i}`, device.array(dtype, shape)]),
  ])
  const { seconds } = await measure(() => program.run(arrays), { iters, warmup: 2 })
  program.dispose()
  for (const array of Object.values(arrays)) array.dispose()
  const time = median(seconds)
  return {
    op,
    name,
    median_us: round(time * 1e6),
    gflops: round(program.plan.flops / time / 1e9, 3),
    gbytes_per_s: round(program.plan.bytesMoved / time / 1e9, 3),
    algorithms: [...new Set(program.plan.algorithms.map(({ algorithm }) => algorithm))],
  }
}

const device = await Device.open(threads === undefined ? {} : { threads })
try {
  for (const one of opCases) {
    if (positionals.length > 0 && !`${one.op}: ${one.name}`.includes(positionals[0])) continue
    console.log(JSON.stringify({ ...(await runCase(device, one)), threads: device.threads, isa: device.isa }))
  }
} finally {
  await device.close()
}
