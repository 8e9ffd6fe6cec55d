/**
 * @file `npm run emulated [-- --variant plain|asan|race] [--seed N] [--lazy] [-- vitest arguments]`: builds the addon with its CUDA kernels compiled
 * for the CPU (test/native/cuda_host) and runs the tests of the CUDA backend on it. `--seed` is the order of blocks, warps and lanes (0
 * ascending, 1 descending, else random); `--lazy`: streams run when waited for, and host code that touches device memory ends the process.
 */
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { isMain, root } from './lib/files.mjs'

const ops = 'test/device/ops.test.ts'
/** What runs when no vitest arguments are given. */
const files = [ops, 'test/device/random.test.ts', 'test/device/selection.test.ts', 'test/cuda']

/** Where the order of streams and of what the host reads matters. */
const hostSides = ['faults', 'libraries', 'methods', 'replay', 'steps'].map((name) => `test/cuda/${name}.test.ts`)

/** What `npm test` runs: every op in several orders of threads, whole steps and faults. */
export const emulatedRuns = [
  { name: 'threads ascending', variant: 'plain', files },
  { name: 'threads descending, streams lazy, memory strict', variant: 'plain', seed: '1', lazy: true, files: [ops, ...hostSides] },
  { name: 'threads in random order, address sanitizer', variant: 'asan', seed: '2', files: [ops] },
  { name: 'race detector', variant: 'race', files: [ops] },
]

/** What `npm run stress` runs: everything in every build, and more orders. */
export const stressRuns = [
  ...['3', '4', '5', '6'].map((seed) => ({
    name: `order ${seed}, streams lazy, memory strict`,
    variant: 'plain',
    seed,
    lazy: true,
    files,
  })),
  ...['0', '1', '7'].map((seed) => ({ name: `order ${seed}, address sanitizer`, variant: 'asan', seed, lazy: seed === '7', files })),
  ...['0', '1', '8'].map((seed) => ({ name: `order ${seed}, race detector`, variant: 'race', seed, files })),
]

/** Builds the addon of a variant and returns its path, or undefined when it does not build. */
export function buildEmulated(variant) {
  const out = `build/emulated-${variant}`
  const cmakeJs = 'node_modules/cmake-js/bin/cmake-js'
  const options = ['--CDALUDEL_ISAS=portable', '--CDALUDEL_CUDA=EMULATED', `--CDALUDEL_CUDA_VARIANT=${variant}`]
  for (const args of [
    ['configure', '--out', out, ...options],
    ['build', '--out', out],
  ])
    if (spawnSync(process.execPath, [cmakeJs, ...args], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] }).status !== 0)
      return undefined
  return `${root}/${out}/Release/aludel.node`
}

/** The environment of a process that computes on the emulated GPU. */
export function emulatedEnvironment(addon, { variant = 'plain', seed = '0', lazy = false } = {}) {
  const environment = { ...process.env, ALUDEL_BINARY: addon, ALUDEL_DEVICE: 'cuda', ALUDEL_PRECISION: 'f32', CUDA_HOST_SEED: seed }
  // Stand-ins for the libraries that the backend looks for.
  environment.LD_LIBRARY_PATH = [join(dirname(addon), 'libraries'), process.env.LD_LIBRARY_PATH].filter(Boolean).join(':')
  if (lazy) Object.assign(environment, { CUDA_HOST_LAZY: '1', CUDA_HOST_STRICT: '1' })
  if (variant === 'asan') {
    const library = spawnSync('g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).stdout.trim()
    // Node itself is not instrumented: its leaks are none, and its own handlers stay.
    Object.assign(environment, { LD_PRELOAD: library, ASAN_OPTIONS: 'detect_leaks=0:detect_odr_violation=0:halt_on_error=1' })
  }
  return environment
}

/** Runs vitest on the emulated GPU; true when all tests passed. */
export function runEmulated({ variant, files, ...settings }) {
  const addon = buildEmulated(variant)
  if (!addon) return false
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--project', 'device', '--project', 'cuda', ...files]
  return (
    spawnSync(process.execPath, vitest, { cwd: root, stdio: 'inherit', env: emulatedEnvironment(addon, { variant, ...settings }) })
      .status === 0
  )
}

if (isMain(import.meta)) {
  const options = { variant: { type: 'string', default: 'plain' }, seed: { type: 'string', default: '0' }, lazy: { type: 'boolean' } }
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  process.exitCode = runEmulated({ ...values, files: positionals.length > 0 ? positionals : files }) ? 0 : 1
}
