/**
 * @file `npm run -s bench -- NAME [--iters N] [--warmup N] [--threads T] [--json]`: times one step and prints one JSON line.
 * Seconds are wall-clock around the awaited step, with its scalar read back; building and loading the programs is not timed.
 */
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
  'evaluate',
  'mtt',
  'per-sample-loss',
  'attention-match',
  'dynamic',
  'dynamic-dc',
  'k-center',
  'picks',
  'craig',
  'herding',
  'grand',
  'grand-rivals',
]
const usage = `npm run -s bench -- ${names.join('|')} [--iters N] [--warmup N] [--threads T] [--json]`

const { values, positionals } = parseOptions(
  { iters: { type: 'string' }, warmup: { type: 'string' }, threads: { type: 'string' }, json: { type: 'boolean' } },
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
const warmup = wholeNumber('warmup', values.warmup, 1, usage, 0)
const threads = wholeNumber('threads', values.threads, undefined, usage)

const { prepare } = await import(`./steps/${name}.mjs`)
const device = await Device.open(threads === undefined ? {} : { threads })
try {
  const start = performance.now()
  const { plans, step, report } = prepare(device)
  const buildSeconds = (performance.now() - start) / 1000
  const { seconds, value } = await measure(step, { iters, warmup })
  const result = {
    name,
    median_s: round(median(seconds)),
    best_s: round(Math.min(...seconds)),
    iters,
    threads: device.threads,
    isa: device.isa,
    peak_rss_mb: Math.round(process.resourceUsage().maxRSS / 1024),
    value: round(value, 6),
    build_s: round(buildSeconds),
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
