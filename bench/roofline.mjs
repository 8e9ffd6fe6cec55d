/**
 * @file `node bench/roofline.mjs [--json]`: what the benches ask of a GPU at least. Their programs are compiled for it, operations and bytes are those of
 * their plans, and the floors are these over the figures of data sheets. Nothing runs, so no GPU is needed.
 */
import { parseArgs } from 'node:util'
import { bindProgram } from '../dist/engine/bound-program.js'
import { convFlops, convolutions, layers } from './steps/conv.mjs'

/** Dense rates in TFLOP/s and memory in TB/s, by the makers' data sheets. */
export const gpus = [
  { name: 'A100 40 GB', isa: 'sm_80', f32: 19.5, tf32: 156, bf16: 312, f64: 9.7, memory: 1.555 },
  { name: 'A100 80 GB', isa: 'sm_80', f32: 19.5, tf32: 156, bf16: 312, f64: 9.7, memory: 2.039 },
  { name: 'H100 SXM', isa: 'sm_90', f32: 67, tf32: 495, bf16: 989, f64: 34, memory: 3.35 },
  { name: 'H200', isa: 'sm_90', f32: 67, tf32: 495, bf16: 989, f64: 34, memory: 4.8 },
]

/** Takes programs and arrays as a device does, and runs nothing. */
const compilerFor = (isa, precision) => ({
  isa,
  precision,
  array: (dtype, shape) => ({ dtype, shape, bytes: 0, dispose() {} }),
  load: (program) => ({ plan: program.plan, dispose() {} }),
})

/** bindProgram asks for a device that openDevice made; the plans are all that is wanted of this one. */
const planOf = (device, spec) => bindProgram(device, spec).plan

async function stepWork(name, device) {
  const { prepare } = await import(`./steps/${name}.mjs`)
  const { plans, work } = prepare(device)
  return work ?? { flops: plans[0].flops, bytes: plans[0].bytesMoved }
}

function convWork(layer, rows, what, device) {
  const { inputs, build, outputs } = convolutions(layer, rows)[what]
  const plan = planOf(device, { inputs, outputs: Object.fromEntries(Object.keys(outputs).map((name) => [name, {}])), build })
  return { flops: convFlops(layer, rows), bytes: plan.bytesMoved }
}

/** Bytes that a call must read and write: logits, labels, loss and EL2N. Its operations are far from being the limit. */
const lossWork = (rows, classes) => ({ flops: 0, bytes: rows * (4 * classes + 4 + 8) })
/** n^3 / 3 operations in float64; the matrix read and its lower triangle written. */
const choleskyWork = (n) => ({ flops: n ** 3 / 3, bytes: 12 * n ** 2, arithmetic: 'f64' })

async function items(device) {
  const named = [
    ['DM step, 10 classes x (256 real + 10 synthetic)', await stepWork('dm', device)],
    ['ATOM step, the same shapes', await stepWork('atom', device)],
    ['expert step, batch 256', await stepWork('expert', device)],
    ['trajectory matching step, 10 x batch 100', await stepWork('mtt', device)],
    ['embedding of 256 images', await stepWork('embed256', device)],
  ]
  for (const layer of layers) {
    for (const what of ['forward', 'input gradient', 'weight gradient'])
      named.push([`conv ${layer[0]}->${layer[1]} at ${layer[2]}x${layer[2]}, batch 2560, ${what}`, convWork(layer, 2560, what, device)])
  }
  named.push(['loss and EL2N of [512000, 1000]', lossWork(512_000, 1000)])
  named.push(['loss and EL2N of [51200000, 10]', lossWork(51_200_000, 10)])
  named.push(['Cholesky of 10000 rows', choleskyWork(10_000)])
  return named
}

/** Milliseconds of each floor. */
export function floorsOf({ flops, bytes, arithmetic }, gpu, precision) {
  const rates = { ...gpu, tf32x3: gpu.tf32 / 3 }
  return { compute: (1e3 * flops) / (rates[arithmetic ?? precision] * 1e12), memory: (1e3 * bytes) / (gpu.memory * 1e12) }
}

const three = (x) => (x === 0 ? '0' : x >= 100 ? x.toFixed(0) : x.toPrecision(3))

function tableOf(rows, precision) {
  const head = ['', 'GFLOP', 'GB', ...gpus.map(({ name }) => name)]
  const lines = rows.map(([name, ...works]) => {
    const [{ flops, bytes }] = works
    const floors = gpus.map((gpu, i) => {
      const { compute, memory } = floorsOf(works[i], gpu, precision)
      const [c, m] = [three(compute), three(memory)]
      return compute > memory ? `**${c}** / ${m}` : `${c} / **${m}**`
    })
    return [name, three(flops / 1e9), three(bytes / 1e9), ...floors]
  })
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

const { values } = parseArgs({ options: { json: { type: 'boolean' }, precision: { type: 'string', default: 'tf32' } } })
const byIsa = Object.fromEntries(
  await Promise.all([...new Set(gpus.map(({ isa }) => isa))].map(async (isa) => [isa, await items(compilerFor(isa, values.precision))])),
)
const rows = byIsa[gpus[0].isa].map(([name], i) => [name, ...gpus.map(({ isa }) => byIsa[isa][i][1])])
console.log(values.json ? JSON.stringify(rows) : tableOf(rows, values.precision))
