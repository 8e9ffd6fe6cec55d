/**
 * @file `node bench/cuda-libraries.mjs [--write] [--rounds N] [--replays N]`: times products of matrices and convolutions as the networks and
 * scores have them on this GPU, with the own kernels and with the libraries in turns, at each precision; a table. `--write` puts those kinds
 * and sizes at which a library is at least a twentieth faster into native/cuda/libraries/choices.inc, in place of what stood there for this
 * architecture and library. The result is committed: what a program runs on is never decided by a measurement of the moment.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { bindProgram, engine, openDevice } from '../dist/index.js'
import { libraryShapes } from './lib/library-shapes.mjs'
import { parseOptions, wholeNumber } from './lib/options.mjs'
import { median } from './lib/timer.mjs'

const usage = 'node bench/cuda-libraries.mjs [--write] [--rounds N] [--replays N]'
const { values } = parseOptions({ write: { type: 'boolean' }, rounds: { type: 'string' }, replays: { type: 'string' } }, usage)
const rounds = wholeNumber('rounds', values.rounds, 7, usage)
const replays = wholeNumber('replays', values.replays, 50, usage)
const choices = fileURLToPath(new URL('../native/cuda/libraries/choices.inc', import.meta.url))

const some = Float32Array.from({ length: 65521 }, (_, i) => Math.sin(i))
function filled(length) {
  const data = new Float32Array(length)
  for (let at = 0; at < length; at += some.length) data.set(some.subarray(0, length - at), at)
  return data
}

/** Values of an object under the same names. */
const mapped = (object, change) => Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]))

function side(device, { inputs, outputs, build }) {
  const program = bindProgram(device, {
    inputs: mapped(inputs, (shape) => ({ shape })),
    outputs: mapped(outputs, () => ({})),
    // What is an argument is the own kernels': results are read on their way, which costs both sides the same.
    build: (v) => mapped(build(v), engine.neg),
  })
  return { program, seconds: [], libraries: program.plan.libraries }
}

/** Seconds of a replay on each device, in turns, so that both see the same clocks; undefined where no library can. */
async function timeBoth(devices, shape) {
  const sides = devices.map((device) => side(device, shape))
  const { libraries } = sides[1]
  if (libraries !== undefined) {
    for (const [i, one] of sides.entries())
      one.arrays = mapped({ ...shape.inputs, ...shape.outputs }, (dims) =>
        devices[i].array('f32', dims, filled(dims.reduce((x, y) => x * y))),
      )
    for (let round = -1; round < rounds; round++) {
      for (const { program, arrays, seconds } of sides) {
        const start = performance.now()
        await program.run(arrays, { n: replays })
        if (round >= 0) seconds.push((performance.now() - start) / 1000 / replays)
      }
    }
  }
  for (const { program, arrays = {} } of sides) {
    program.dispose()
    for (const array of Object.values(arrays)) array.dispose()
  }
  if (libraries === undefined) return undefined
  const [own, library] = sides.map(({ seconds }) => median(seconds))
  return { own, library, libraries }
}

async function openWith(use, precision) {
  process.env.ALUDEL_CUDA_LIBS = use
  return openDevice({ device: 'cuda', precision })
}

const found = []
const used = new Set()
console.log('| precision | product or convolution | own, us | library, us | library/own |\n|---|---|---|---|---|')
for (const precision of ['f32', 'tf32', 'bf16']) {
  const devices = [await openWith('off', precision), await openWith('all', precision)]
  const architecture = Number(devices[0].isa.slice('sm_'.length))
  for (const shape of libraryShapes) {
    const times = await timeBoth(devices, shape)
    if (times === undefined) continue
    used.add(times.libraries)
    const table = `${shape.macro}(${architecture}, `
    found.push({ table, line: `${table}${[precision, ...shape.choice].join(', ')})`, faster: times.library < 0.95 * times.own })
    const [own, library] = [times.own, times.library].map((seconds) => (seconds * 1e6).toFixed(1))
    console.log(`| ${precision} | ${shape.title} | ${own} | ${library} | ${(times.library / times.own).toFixed(2)} |`)
  }
  for (const device of devices) await device.close()
}
if (found.length === 0) {
  console.error('no library was found: LD_LIBRARY_PATH must name the folders of libcublasLt.so.13 or .12 and of libcudnn.so.9')
  process.exit(1)
}
// A kind and size counts where the library is faster in all that is of it.
const lines = [...new Set(found.map(({ line }) => line))]
const chosen = lines.filter((line) => found.every((one) => one.line !== line || one.faster))
console.log(`\n${[...used].join(', ')}: faster in ${chosen.length} kinds and sizes of ${lines.length}`)
if (values.write) {
  const measured = [...new Set(found.map(({ table }) => table))]
  const others = readFileSync(choices, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !measured.some((start) => line.startsWith(start)) && !line.includes('Nothing was measured'))
  writeFileSync(choices, `${[...others, ...chosen].join('\n')}\n`)
}
