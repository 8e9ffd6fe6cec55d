/** @file `npm run check`: everything that can be said about the sources without running them, in well under half a minute. */
import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { exists, filesUnder, isMain, root } from './lib/files.mjs'

/** Runs a tool to its end: exit code and both streams together. */
function runTool(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data))
    child.on('error', (error) => resolve({ code: 1, output: String(error.message) }))
    child.on('close', (code) => resolve({ code: code ?? 1, output }))
  })
}

const node =
  (...args) =>
  () =>
    runTool(process.execPath, args)
const bin =
  (name, ...args) =>
  () =>
    runTool(join(root, 'node_modules/.bin', name), args)

function clangFormat() {
  if (spawnSync('clang-format', ['--version']).status !== 0) return { skipped: 'clang-format is not installed' }
  const files = filesUnder(['native', 'test', 'bench'], ['.h', '.cc', '.cu', '.cuh'])
  return files.length === 0 ? { skipped: 'no C++ files' } : () => runTool('clang-format', ['--dry-run', '--Werror', ...files])
}

function opcodes() {
  return exists('scripts/gen-opcodes.mjs') ? node('scripts/gen-opcodes.mjs', '--check') : { skipped: 'scripts/gen-opcodes.mjs is missing' }
}

const checks = () => [
  ['format and lint', bin('biome', 'check', '--max-diagnostics=40')],
  ['types and snippets', node('scripts/check-types.mjs')],
  ['layers and cycles', node('scripts/check-layers.mjs')],
  ['size', node('scripts/check-size.mjs')],
  ['words', node('scripts/check-words.mjs')],
  ['docs', node('scripts/check-docs.mjs')],
  ['opcodes', opcodes()],
  ['mirror', node('scripts/check-mirror.mjs')],
  ['clang-format', clangFormat()],
]

/** Runs all checks side by side; prints one line for each, and the output of those that fail. */
export async function runChecks() {
  const totals = { passed: 0, failed: 0, skipped: 0 }
  const results = await Promise.all(
    checks().map(async ([name, check]) => {
      if (typeof check !== 'function') return { name, skipped: check.skipped }
      const start = performance.now()
      return { name, ...(await check()), seconds: (performance.now() - start) / 1000 }
    }),
  )
  for (const { name, skipped, code, output, seconds } of results) {
    const outcome = skipped ? 'skipped' : code === 0 ? 'passed' : 'failed'
    totals[outcome]++
    console.log(skipped ? `skip ${name}: ${skipped}` : `${code === 0 ? 'ok  ' : 'FAIL'} ${name} (${seconds.toFixed(1)} s)`)
    if (outcome === 'failed') console.log(output.trimEnd().replace(/^/gm, '     '))
  }
  return totals
}

if (isMain(import.meta)) {
  const { passed, failed, skipped } = await runChecks()
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
  process.exitCode = failed > 0 ? 1 : 0
}
