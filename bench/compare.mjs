/**
 * @file `npm run -s bench:compare -- NAME --peer "CMD"`: runs our bench and the peer's command in turns (A B B A …), each in a fresh
 * process, and prints the ratio of their times with its spread. The peer must print a JSON line with `median_s`.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { environment } from './lib/env.mjs'
import { parseOptions, usageError, wholeNumber } from './lib/options.mjs'
import { median, round } from './lib/timer.mjs'

const usage = 'npm run -s bench:compare -- NAME --peer "CMD" [--rounds N] [--iters N] [--threads T] [--json]'

/** The last line of `output` that is a JSON object with a positive median_s. */
export function readResult(output) {
  for (const line of output.trim().split('\n').reverse()) {
    if (!line.startsWith('{')) continue
    try {
      const result = JSON.parse(line)
      if (result.median_s > 0) return result
    } catch {
      // Not JSON after all: an earlier line may be.
    }
  }
  return undefined
}

function runSide(side, command, args, shell) {
  const { stdout, stderr, status, error } = spawnSync(command, args, { encoding: 'utf8', shell, maxBuffer: 1 << 26 })
  const result = status === 0 ? readResult(stdout) : undefined
  if (!result) {
    const why = error?.message ?? (status === 0 ? 'it printed no JSON line with median_s' : `exit code ${status}`)
    console.error(`${side} failed: ${why}\n${stderr ?? ''}`)
    process.exit(1)
  }
  return result
}

/** Summary of interleaved rounds: ratio = our time / the peer's, below 1 means we are faster. */
export function summarize(name, rounds) {
  const ratios = rounds.map(({ own, peer }) => own.median_s / peer.median_s)
  return {
    name,
    ratio: round(median(ratios)),
    ratio_min: round(Math.min(...ratios)),
    ratio_max: round(Math.max(...ratios)),
    own_median_s: round(median(rounds.map(({ own }) => own.median_s))),
    peer_median_s: round(median(rounds.map(({ peer }) => peer.median_s))),
    rounds: rounds.length,
  }
}

function main() {
  const { values, positionals } = parseOptions(
    {
      peer: { type: 'string' },
      rounds: { type: 'string' },
      iters: { type: 'string' },
      threads: { type: 'string' },
      json: { type: 'boolean' },
    },
    usage,
  )
  if (positionals.length !== 1) usageError(`expected one bench name but received '${positionals.join(' ')}'`, usage)
  if (!values.peer) usageError('--peer: expected a command that prints a JSON line with median_s', usage)
  const [name] = positionals
  const rounds = wholeNumber('rounds', values.rounds, 3, usage)
  const passed = ['iters', 'threads'].flatMap((key) => (values[key] === undefined ? [] : [`--${key}`, values[key]]))
  const runOwn = () =>
    runSide('bench', process.execPath, [fileURLToPath(new URL('run.mjs', import.meta.url)), name, '--json', ...passed], false)
  const runPeer = () => runSide('peer', values.peer, [], true)
  const results = []
  for (let i = 0; i < rounds; i++) {
    // Alternating the order keeps a machine that slows down over time from favouring one side.
    const first = i % 2 === 0 ? runOwn() : runPeer()
    const second = i % 2 === 0 ? runPeer() : runOwn()
    const [own, peer] = i % 2 === 0 ? [first, second] : [second, first]
    results.push({ own, peer })
    if (!values.json)
      console.error(`round ${i + 1}: own ${own.median_s} s, peer ${peer.median_s} s, ratio ${round(own.median_s / peer.median_s)}`)
  }
  const summary = summarize(name, results)
  if (!values.json) {
    console.error(`${name}: ${summary.ratio} x the peer's time (${summary.ratio_min} to ${summary.ratio_max} over ${rounds} rounds)`)
  }
  console.log(
    JSON.stringify({
      ...summary,
      threads: results[0].own.threads,
      isa: results[0].own.isa,
      peer: results[0].peer.engine ?? values.peer,
      env: environment(),
    }),
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main()
