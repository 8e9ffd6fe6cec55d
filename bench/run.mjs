/**
 * @file `npm run -s bench -- NAME [--iters N] [--warmup N] [--threads T] [--device cpu|cuda] [--gpu I] [--precision P] [--json]`: times one step and
 * prints one JSON line.
 * Seconds are wall-clock around the awaited step, with its scalar read back; building and loading the programs is not timed.
 */
import { isGpu } from '../dist/engine/isa.js'
import { Device } from '../dist/engine/runtime/device.js'
import { parseOptions, usageError, wholeNumber } from './lib/options.mjs'
import { measure, median, round } from './lib/timer.mjs'

const names = [
  'embed256',
  'dm',
  'datadam',
  'atom',
  'dc',
  'dc10',
  'expert',
  'experts',
  'gsam',
  'evaluate',
  'ssl',
  'mtt',
  'pad',
  'krr-step',
  'per-sample-loss',
  'attention-match',
  'dynamic',
  'dynamic-dc',
  'kernel-ridge',
  'k-center',
  'picks',
  'craig',
  'herding',
  'grand',
  'grand-rivals',
  'copy-peak',
  'matrix-peak',
  'conv',
]
const usage = `npm run -s bench -- ${names.join('|')} [--iters N] [--warmup N] [--threads T] [--device cpu|cuda] [--gpu I] [--precision P] [--json]`

const { values, positionals } = parseOptions(
  {
    ...Object.fromEntries(['iters', 'warmup', 'threads', 'device', 'gpu', 'precision'].map((name) => [name, { type: 'string' }])),
    json: { type: 'boolean' },
  },
  usage,
)
if (values.help) {
  console.log(`usage: ${usage}`)
  process.exit(0)
}
const [name] = positionals
if (positionals.length !== 1 || !names.includes(name))
  usageError(`expected one of ${names.join(', ')} but received '${positionals.join(' ')}'`, usage)
const iters = wholeNumber('iters', values.iters, 5, usage)
const threads = wholeNumber('threads', values.threads, undefined, usage)
const index = wholeNumber('gpu', values.gpu, undefined, usage, 0)
const chosen = Object.entries({ threads, index, device: values.device, precision: values.precision }).filter(
  ([, value]) => value !== undefined,
)

/** Operations and bytes of a step that runs one program once. */
function workOf(plans) {
  return plans.length === 1 ? { flops: plans[0].flops, bytes: plans[0].bytesMoved } : undefined
}

const { prepare } = await import(`./steps/${name}.mjs`)
const device = await Device.open(Object.fromEntries(chosen))
// A GPU runs a program once, records it at the second run, and replays from the third one on.
const warmup = wholeNumber('warmup', values.warmup, isGpu(device.isa) ? 3 : 1, usage, 0)
try {
  const start = performance.now()
  const { plans, step, report, work = workOf(plans) } = prepare(device)
  const buildSeconds = (performance.now() - start) / 1000
  const { seconds, value } = await measure(step, { iters, warmup })
  const time = median(seconds)
  const result = {
    name,
    median_s: round(time),
    best_s: round(Math.min(...seconds)),
    iters,
    threads: device.threads,
    isa: device.isa,
    precision: device.precision,
    peak_rss_mb: Math.round(process.resourceUsage().maxRSS / 1024),
    value: round(value, 6),
    build_s: round(buildSeconds),
    ...(work && { gflop_s: round(work.flops / time / 1e9), gbyte_s: round(work.bytes / time / 1e9) }),
    arena_mb: round(Math.max(0, ...plans.map((plan) => plan.arenaBytes)) / 1e6),
    ...report?.(),
  }
  if (!values.json)
    console.error(
      `${name}: median ${result.median_s} s, best ${result.best_s} s over ${iters} runs on ${device.threads} threads (${device.isa})`,
    )
  console.log(JSON.stringify(result))
} finally {
  await device.close()
}
