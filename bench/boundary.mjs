/** @file What crossing from JavaScript into native code costs: an almost empty program run once, replayed, and small copies. JSON line per case. */
import Benchmark from 'benchmark'
import { bindProgram } from '../dist/engine/bound-program.js'
import { add } from '../dist/engine/index.js'
import { Device } from '../dist/engine/runtime/device.js'
import { round } from './lib/timer.mjs'

const replays = 1000
const kibibytes = 64

const device = await Device.open({ threads: 1 })
const program = bindProgram(device, { inputs: { x: { shape: [] } }, outputs: { x: { donate: 'x' } }, build: ({ x }) => ({ x: add(x, 1) }) })
const x = device.array('f32', [])
const host = new Float32Array((kibibytes * 1024) / 4)
const block = device.array('f32', [host.length])

/** Name, the awaited work, and how many operations one call of it stands for. */
const cases = [
  ['run, one scalar op', () => program.run({ x }), 1],
  ['run, eight submitted together', () => Promise.all(Array.from({ length: 8 }, () => program.run({ x }))), 8],
  ['replay inside repeat', () => program.run({ x }, { n: replays }), replays],
  [`write ${kibibytes} KiB`, () => block.write(host), 1],
  [`read ${kibibytes} KiB`, () => block.read(), 1],
]

function runCase([name, work, operations]) {
  return new Promise((resolve, reject) => {
    const bench = new Benchmark(name, {
      defer: true,
      maxTime: 1,
      fn: (deferred) => work().then(() => deferred.resolve(), reject),
      onComplete: () => resolve({ name, us: round((bench.stats.mean * 1e6) / operations), spread_percent: round(bench.stats.rme, 2) }),
      onError: () => reject(bench.error),
    })
    bench.run({ async: true })
  })
}

try {
  for (const one of cases) console.log(JSON.stringify(await runCase(one)))
} finally {
  await device.close()
}
