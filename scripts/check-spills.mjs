/**
 * @file `node scripts/check-spills.mjs LOG [--table]`: reads what ptxas said of every kernel in a build log and fails when registers were spilled
 * to memory. `--table`: registers, shared memory, stack and spills of each kernel, per architecture, as markdown.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { isMain } from './lib/files.mjs'

/**
 * @typedef {{ symbol: string, architecture: string, registers: number, shared: number, stack: number, spills: number }} Kernel
 *
 * Kernels and functions of a log, the last word on each: bytes of static shared memory, of stack, and of spill stores and loads together.
 * @returns {Kernel[]}
 */
export function kernelsOf(log) {
  const found = new Map()
  let architecture = ''
  let entry
  let current
  for (const line of log.split('\n')) {
    const compiled = /Compiling entry function '([^']+)' for '(sm_\w+)'/.exec(line)
    if (compiled) [, entry, architecture] = compiled
    const named = /Function properties for (\S+)/.exec(line)
    if (named) {
      current = { symbol: named[1], architecture, registers: 0, shared: 0, stack: 0, spills: 0 }
      found.set(`${current.symbol} ${architecture}`, current)
    }
    const memory = /(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line)
    if (memory && current) Object.assign(current, { stack: Number(memory[1]), spills: Number(memory[2]) + Number(memory[3]) })
    const used = /Used (\d+) registers/.exec(line)
    const owner = used && found.get(`${entry} ${architecture}`)
    if (owner) Object.assign(owner, { registers: Number(used[1]), shared: Number(/(\d+) bytes smem/.exec(line)?.[1] ?? 0) })
  }
  return [...found.values()]
}

/** Names as they stand in the sources, where there is a tool that knows; templates keep their arguments, parameters go. */
export function readableNames(symbols) {
  const { status, stdout } = spawnSync('c++filt', [], { input: symbols.join('\n'), encoding: 'utf8' })
  const names = status === 0 ? stdout.split('\n') : symbols
  return symbols.map((symbol, i) =>
    (names[i] ?? symbol).replace(/\(anonymous namespace\)::|aludel::cuda::|^void /g, '').replace(/\([^()]*\)$/, ''),
  )
}

/** One row a kernel and architecture. */
export function tableOf(kernels) {
  const names = readableNames(kernels.map(({ symbol }) => symbol))
  const rows = kernels.map(({ architecture, registers, shared, stack, spills }, i) => [
    ...[names[i].replaceAll('|', '\\|'), architecture, registers, shared, stack, spills],
  ])
  rows.sort(([a, x], [b, y]) => (a === b ? (x < y ? -1 : 1) : a < b ? -1 : 1))
  const head = ['kernel', 'architecture', 'registers', 'shared bytes', 'stack bytes', 'spilled bytes']
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')
}

/** A sentence for each kernel that spills. */
export function spillsOf(kernels) {
  const spilling = kernels.filter(({ spills }) => spills > 0)
  const names = readableNames(spilling.map(({ symbol }) => symbol))
  return spilling.map(
    ({ architecture, registers, spills }, i) => `${names[i]} for ${architecture}: ${spills} bytes spilled with ${registers} registers`,
  )
}

if (isMain(import.meta)) {
  const { values, positionals } = parseArgs({ options: { table: { type: 'boolean' } }, allowPositionals: true })
  if (positionals.length !== 1) {
    console.error('usage: node scripts/check-spills.mjs LOG [--table]')
    process.exit(2)
  }
  const kernels = kernelsOf(readFileSync(positionals[0], 'utf8'))
  const spills = spillsOf(kernels)
  if (values.table) console.log(tableOf(kernels))
  for (const spill of spills) console.error(spill)
  console.error(`${kernels.length} kernels, ${spills.length} of them spill`)
  if (kernels.length === 0) console.error(`${positionals[0]}: ptxas says nothing there; a log of a build with -Xptxas=-v is needed`)
  process.exitCode = spills.length > 0 || kernels.length === 0 ? 1 : 0
}
