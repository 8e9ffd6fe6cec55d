/**
 * @file `node bench/run-overhead.mjs --data cifar10:DIR [--seconds N] [--out DIR] [-- OPTIONS OF aludel distill]`: distils for about N
 * seconds (default 60) as the command line does and prints the share of time that the device did not spend on steps: draws, uploads,
 * events, log, copies of the state and checkpoints, the last one included. One JSON line.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { library } from '../dist/cli/library.js'
import { runCli } from '../dist/cli/program.js'
import { DeviceArray } from '../dist/engine/runtime/array.js'
import { Executable } from '../dist/engine/runtime/executable.js'
import { readEvents } from '../dist/experiment/index.js'
import { round } from './lib/timer.mjs'

const { values, positionals } = parseArgs({
  options: { data: { type: 'string' }, seconds: { type: 'string', default: '60' }, out: { type: 'string' } },
  allowPositionals: true,
})
const dir = values.out ?? join(mkdtempSync(join(tmpdir(), 'aludel-overhead-')), 'run')

/** Milliseconds from the call to the end, summed: steps, and copies of the state that steps wait behind. */
const spent = { repeat: 0, copyFrom: 0 }
const timed = (type, name) => {
  const original = type.prototype[name]
  type.prototype[name] = async function (...args) {
    const start = performance.now()
    try {
      return await original.apply(this, args)
    } finally {
      spent[name] += performance.now() - start
    }
  }
}
timed(Executable, 'repeat')
timed(DeviceArray, 'copyFrom')
const saves = []
const counted = {
  ...library,
  async distill(dataset, options) {
    const { checkpoints } = options
    const save = async (checkpoint) => {
      const start = performance.now()
      await checkpoints.save(checkpoint)
      saves.push(performance.now() - start)
    }
    const run = await library.distill(dataset, { ...options, checkpoints: { load: () => checkpoints.load(), save } })
    setTimeout(() => run.stop(), Number(values.seconds) * 1000)
    return run
  },
}

const args = ['distill', '--data', values.data ?? 'fashion-mnist', '--iterations', '1000000', '--out', dir, ...positionals]
const silent = { write: () => true }
const code = await runCli({ args, library: counted, stdout: silent, stderr: process.stderr })
if (code !== 0) process.exit(code)
const done = (await readEvents(dir)).at(-1)
const steps = (spent.repeat - spent.copyFrom) / 1000
console.log(
  JSON.stringify({
    name: 'run-overhead',
    seconds: round(done.seconds),
    steps: done.step,
    native_s: round(steps),
    overhead: round(1 - steps / done.seconds, 4),
    checkpoints: saves.length,
    checkpoint_ms: saves.map((ms) => Math.round(ms)),
    kept: readdirSync(join(dir, 'checkpoints')).length,
  }),
)
if (values.out === undefined) rmSync(join(dir, '..'), { recursive: true })
