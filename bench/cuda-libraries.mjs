/**
 * @file `node bench/cuda-libraries.mjs [--write] [--rounds N] [--replays N]`: times products of matrices as the networks and scores have them on this
 * GPU, with the own kernels and with the library in turns, at each precision; a table. `--write` puts those kinds and sizes at which the
 * library is at least a twentieth faster into native/cuda/libraries/choices.inc, in place of what stood there for this architecture. The
 * result is committed: what a program runs on is never decided by a measurement of the moment.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { bindProgram, engine, openDevice } from '../dist/index.js'
import { parseOptions, wholeNumber } from './lib/options.mjs'
import { median } from './lib/timer.mjs'

const usage = 'node bench/cuda-libraries.mjs [--write] [--rounds N] [--replays N]'
const { values } = parseOptions({ write: { type: 'boolean' }, rounds: { type: 'string' }, replays: { type: 'string' } }, usage)
const rounds = wholeNumber('rounds', values.rounds, 7, usage)
const replays = wholeNumber('replays', values.replays, 50, usage)
const table = fileURLToPath(new URL('../native/cuda/libraries/choices.inc', import.meta.url))

/** [batch, m, n, k]: the linear layer of images by features by classes, forward and both gradients, and Gram matrices. */
const layers = [10, 100, 200, 1000].flatMap((classes) =>
  [512, 2048].flatMap((features) => [
    { size: [1, 256, classes, features] },
    { size: [1, 256, features, classes], transposeB: true },
    { size: [1, features, classes, 256], transposeA: true },
    { size: [1, 2560, classes, features] },
  ]),
)
const grams = [512, 2048].map((rows) => ({ size: [1, rows, rows, 2048], transposeB: true }))
const shapes = [...layers, ...grams, { size: [10, 256, 128, 2048] }]

/** Seconds of a replay on each device, in turns, so that both see the same clocks. */
async function timeBoth(devices, { size: [batch, m, n, k], transposeA = false, transposeB = false }) {
  const a = transposeA ? [batch, k, m] : [batch, m, k]
  const b = transposeB ? [batch, n, k] : [batch, k, n]
  const sides = devices.map((device) => {
    const fill = (shape) => Float32Array.from({ length: shape.reduce((x, y) => x * y) }, (_, i) => Math.sin(i))
    const program = bindProgram(device, {
      inputs: { a: { shape: a }, b: { shape: b } },
      outputs: { y: {} },
      // What is an argument is the own kernels': the product is read on its way, which costs both sides the same.
      build: (v) => ({ y: engine.neg(engine.matmul(v.a, v.b, { transposeA, transposeB })) }),
    })
    const arrays = { a: device.array('f32', a, fill(a)), b: device.array('f32', b, fill(b)), y: device.array('f32', [batch, m, n]) }
    return { program, arrays, seconds: [] }
  })
  for (let round = -1; round < rounds; round++) {
    for (const { program, arrays, seconds } of sides) {
      const start = performance.now()
      await program.run(arrays, { n: replays })
      if (round >= 0) seconds.push((performance.now() - start) / 1000 / replays)
    }
  }
  for (const { program, arrays } of sides) {
    program.dispose()
    for (const array of Object.values(arrays)) array.dispose()
  }
  const [own, library] = sides.map(({ seconds }) => median(seconds))
  return { own, library, libraries: sides[1].program.plan.libraries }
}

const log2Up = (size) => Math.ceil(Math.log2(size))

async function openWith(use, precision) {
  process.env.ALUDEL_CUDA_LIBS = use
  return openDevice({ device: 'cuda', precision })
}

const found = []
let architecture
let libraries
console.log('| precision | batch x m x n x k | own, us | library, us | library/own |\n|---|---|---|---|---|')
for (const precision of ['f32', 'tf32', 'bf16']) {
  const devices = [await openWith('off', precision), await openWith('all', precision)]
  architecture = Number(devices[0].isa.slice('sm_'.length))
  for (const shape of shapes) {
    const times = await timeBoth(devices, shape)
    if (times.libraries === undefined) continue
    libraries = times.libraries
    const [batch, m, n, k] = shape.size
    const { transposeA = false, transposeB = false } = shape
    const vectors = [m, n, k].every((size) => size % 4 === 0)
    const key = [architecture, precision, ...shape.size.map(log2Up), transposeA, transposeB, vectors].join(', ')
    found.push({ key, faster: times.library < 0.95 * times.own })
    const flags = `${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}`
    const microseconds = (seconds) => (seconds * 1e6).toFixed(1)
    const ratio = (times.library / times.own).toFixed(2)
    console.log(
      `| ${precision} | ${batch} x ${m} x ${n} x ${k} ${flags} | ${microseconds(times.own)} | ${microseconds(times.library)} | ${ratio} |`,
    )
  }
  for (const device of devices) await device.close()
}
if (libraries === undefined) {
  console.error('no library that computes products was found: LD_LIBRARY_PATH must name the folder of libcublasLt.so.13 or .12')
  process.exit(1)
}
// A kind and size counts where the library is faster in all of its products.
const chosen = [...new Set(found.map(({ key }) => key))].filter((key) => found.every((one) => one.key !== key || one.faster))
console.log(`\n${libraries}: faster in ${chosen.length} kinds and sizes of ${new Set(found.map(({ key }) => key)).size}`)
if (values.write) {
  const others = readFileSync(table, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.includes(`(${architecture}, `) && !line.includes('Nothing was measured'))
  writeFileSync(table, `${[...others, ...chosen.map((key) => `ALUDEL_CHOICE(${key})`)].join('\n')}\n`)
}
