/**
 * @file `npm run soak [-- --minutes N] [--json]`: devices, runs, evaluations, aborts and errors in a loop for N minutes (default 60); memory and
 * open files at the end must be what they were after the first quarter. Needs a build (`npm run build`).
 */
import { readdirSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { distill, el2n, evaluate, methodNames, openDataset, openDevice, perSampleLoss } from '../dist/index.js'

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '60' }, json: { type: 'boolean', default: false } } })
const minutes = Number(values.minutes)
if (!(minutes > 0)) {
  console.error(`--minutes: expected a number > 0 but received '${values.minutes}'`)
  process.exit(2)
}

const [train, test] = await Promise.all([openDataset('fashion-mnist', 'train'), openDataset('fashion-mnist', 'test')])
const network = 'mlp'

/** One round: everything that opens something, on a device of its own. */
async function round(method, seed) {
  const device = await openDevice()
  try {
    const settings = {
      method,
      ipc: 1,
      iterations: 3,
      realBatch: 4,
      seed,
      device,
      ...(['atom', 'datadam', 'kip'].includes(method) ? {} : { network }),
    }
    const run = distill(train, settings)
    for await (const _ of run);
    const set = await run.result
    // Every other time ONNX Runtime is started, used and ended too.
    await evaluate(set, { networks: [network], repeats: 2, epochs: 2, test, device, inference: seed % 2 ? 'onnx' : 'engine' })
    await aborted(settings)
    await refused(() => distill(train, { ...settings, ipc: 0 }))
    const logits = { data: new Float32Array(5000).fill(seed), shape: [500, 10] }
    const labels = new Int32Array(500)
    await perSampleLoss(logits, labels, { device })
    await el2n(logits, labels, { device })
  } finally {
    await device.close()
  }
}

async function aborted(settings) {
  const abort = new AbortController()
  const run = distill(train, { ...settings, iterations: 100_000, signal: abort.signal })
  for await (const event of run) {
    if (event.type === 'step') break
  }
  abort.abort()
  await run.result.catch(() => {})
}

const refused = async (action) => {
  try {
    await action()
  } catch {
    return
  }
  throw new Error('a mistake was accepted')
}

/** What the process holds, after everything that can go has gone. */
async function held() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.()
    await new Promise((next) => setTimeout(next, 50))
  }
  return {
    rssMiB: Math.round(process.memoryUsage().rss / 2 ** 20),
    files: readdirSync('/proc/self/fd').length,
    handles: process.getActiveResourcesInfo().length,
  }
}

const start = performance.now()
const passed = () => (performance.now() - start) / 60_000
let rounds = 0
let early
while (passed() < minutes) {
  await round(methodNames[rounds % methodNames.length], rounds)
  rounds++
  if (early === undefined && passed() >= minutes / 4 && rounds >= methodNames.length) early = await held()
}
const late = await held()
early ??= late
// Allocators keep a little; a leak of one array per round would be far more.
const grew = late.rssMiB > early.rssMiB * 1.1 || late.files > early.files || late.handles > early.handles
const result = { minutes, rounds, early, late, grew }
console.log(
  values.json
    ? JSON.stringify(result)
    : `${rounds} rounds in ${minutes} minutes: ${JSON.stringify(early)} after a quarter, ${JSON.stringify(late)} at the end`,
)
process.exitCode = grew ? 1 : 0
