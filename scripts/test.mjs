/**
 * @file `npm test`: builds what is missing, then the checks, the C++ tests under sanitizers, all vitest projects, the CUDA backend as nvcc
 * makes it and its tests on the emulated GPU. The last line is `N passed, N failed, N skipped` over all of them. `--fast` leaves out what is
 * C++ or CUDA.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { nvcc } from './build.mjs'
import { buildEmulated, emulatedEnvironment, emulatedRuns } from './emulated.mjs'
import { exists, root } from './lib/files.mjs'

const totals = { passed: 0, failed: 0, skipped: 0 }
/** Said again at the end, where a long log is read first. */
const failures = []

function run(command, args, env = process.env) {
  return spawnSync(command, args, { cwd: root, env, stdio: ['ignore', 'inherit', 'inherit'] }).status ?? 1
}

function section(name) {
  console.log(`\n== ${name}`)
}

function add(name, { passed, failed, skipped, names = [] }) {
  totals.passed += passed
  totals.failed += failed
  totals.skipped += skipped
  if (failed > 0) failures.push(...(names.length > 0 ? names : [`${failed} failed`]).map((one) => `${name}: ${one}`))
  console.log(`${name}: ${passed} passed, ${failed} failed, ${skipped} skipped`)
}

const failure = (reason) => {
  console.log(reason)
  return { passed: 0, failed: 1, skipped: 0, names: [reason] }
}

/** Dependencies, addon and dist. Compilers and tsc rebuild only what changed, so this runs every time. */
function setup() {
  section('setup')
  if (run(process.execPath, ['scripts/setup.mjs']) !== 0)
    add('setup', failure('scripts/setup.mjs failed: the tests that need the addon or dist will fail too'))
}

async function check() {
  section('checks')
  const { runChecks } = await import('./check.mjs')
  add('checks', await runChecks())
}

/** Counts from ctest's JUnit file. */
function readJunit(path) {
  const xml = readFileSync(path, 'utf8')
  const suite = /<testsuite\b[^>]*>/.exec(xml)?.[0] ?? ''
  const names = [...xml.matchAll(/<testcase name="([^"]*)"[^>]*status="fail"/g)].map(([, name]) => name)
  const count = (name) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(suite)?.[1] ?? 0)
  const failed = count('failures')
  const skipped = count('skipped') + count('disabled')
  return { passed: count('tests') - failed - skipped, failed, skipped, names }
}

/**
 * C++ tests under one sanitizer. ThreadSanitizer sees the two programs that have threads to get wrong; AddressSanitizer sees all,
 * with the 16-lane kernels compiled for AVX2 where the processor has no AVX-512.
 */
function runNativeTests({ folder, source = '.', sanitizer, options = [], targets = [] }) {
  const junit = join(root, folder, 'junit.xml')
  const generator = spawnSync('ninja', ['--version']).status === 0 ? ['-G', 'Ninja'] : []
  const jobs = String(availableParallelism())
  const configured = exists(`${folder}/CMakeCache.txt`) ? [] : generator
  const configure = [
    '-S',
    source,
    '-B',
    folder,
    ...configured,
    '-DALUDEL_TESTS=ON',
    `-DALUDEL_SANITIZE=${sanitizer}`,
    ...options,
    '-DCMAKE_BUILD_TYPE=RelWithDebInfo',
  ]
  if (run('cmake', configure) !== 0) return failure('cmake could not configure the C++ tests')
  const chosen = targets.flatMap((target) => ['--target', target])
  if (run('cmake', ['--build', folder, '--parallel', jobs, ...chosen]) !== 0) return failure('the C++ tests do not compile')
  rmSync(junit, { force: true })
  run('ctest', [
    '--test-dir',
    folder,
    '--output-on-failure',
    '--parallel',
    jobs,
    '--timeout',
    '300',
    '--output-junit',
    junit,
    ...(targets.length > 0 ? ['-R', `^(${targets.join('|')})$`] : []),
  ])
  return existsSync(junit) ? readJunit(junit) : failure('ctest wrote no result')
}

/** Counts from vitest's JSON report; a file that fails to load has no assertions and counts as one failure. */
function readVitest(path) {
  const report = JSON.parse(readFileSync(path, 'utf8'))
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  )
  for (const file of broken) console.log(`FAIL ${file.name}: ${file.message}`)
  const tests = report.testResults.flatMap(({ assertionResults }) => assertionResults)
  return {
    names: [
      ...broken.map(({ name }) => relative(root, name)),
      ...tests.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName.trim()),
    ],
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests + (report.numTodoTests ?? 0),
  }
}

function runVitest(args = [], env = process.env) {
  const path = join(root, 'build/vitest.json')
  mkdirSync(join(root, 'build'), { recursive: true })
  rmSync(path, { force: true })
  const code = run(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${path}`, ...args],
    env,
  )
  if (!existsSync(path)) return failure('vitest wrote no result')
  const counts = readVitest(path)
  // Unhandled errors fail the run without failing a test.
  if (code !== 0 && counts.failed === 0) Object.assign(counts, { failed: 1, names: ['vitest saw an error outside of tests'] })
  return counts
}

/** The addon as nvcc makes it, without a spilled register, and that it loads and explains itself on a machine without a GPU. */
function buildCuda() {
  if (!nvcc()) {
    console.log('skipped: nvcc is neither on PATH nor in /usr/local/cuda/bin')
    return { passed: 0, failed: 0, skipped: 1 }
  }
  const args = ['scripts/build.mjs', '--cuda', '--out', 'build/cuda', '--isas', 'portable']
  if (run(process.execPath, args) !== 0) return failure('npm run build -- --cuda fails')
  return runVitest(['--project', 'device', 'test/device/open-device.test.ts'], {
    ...process.env,
    ALUDEL_BINARY: join(root, 'build/cuda/Release/aludel.node'),
  })
}

setup()
await check()
if (!process.argv.includes('--fast')) {
  section('C++ tests')
  add('C++ tests', runNativeTests({ folder: 'build/tests', sanitizer: 'address', options: ['-DALUDEL_WIDE=ON'] }))
  add(
    'C++ tests with threads',
    runNativeTests({ folder: 'build/tests-threads', sanitizer: 'thread', targets: ['executor_test', 'queue_test'] }),
  )
}
section('vitest')
add('vitest', runVitest())
if (!process.argv.includes('--fast')) {
  section('CUDA build')
  add('CUDA build', buildCuda())
}
if (!process.argv.includes('--fast')) {
  section('emulated GPU')
  add('emulated CUDA runtime', runNativeTests({ folder: 'build/cuda-host', source: 'test/native/cuda_host', sanitizer: '' }))
  add('linear algebra', runNativeTests({ folder: 'build/cuda-linalg', source: 'test/native/cuda_linalg', sanitizer: '' }))
  for (const { name, variant, files, ...settings } of emulatedRuns) {
    const addon = buildEmulated(variant)
    const projects = ['--project', 'device', '--project', 'cuda']
    const counts = addon ? runVitest([...projects, ...files], emulatedEnvironment(addon, { variant, ...settings })) : undefined
    add(`emulated GPU, ${name}`, counts ?? failure('the emulated addon does not build'))
  }
}

if (failures.length > 0) console.log(`\nFailed:\n${failures.map((one) => `  ${one}`).join('\n')}`)
console.log(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`)
process.exitCode = totals.failed > 0 ? 1 : 0
