/** @file From a fresh clone to a usable package: npm packages, native addon (CPU, for this machine's instruction sets), compiled TypeScript, and one load to prove it. */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const addon = `${root}build/Release/aludel.node`

/** Runs one step in the package folder and ends the script with what to do when it fails. */
function step(what, command, args, advice) {
  console.log(`setup: ${what}`)
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (status === 0) return
  console.error(`setup: ${what} failed${error ? ` (${error.message})` : ''}; ${advice}`)
  process.exit(1)
}

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 17)) {
  console.error(`setup: expected Node >= 20.17 but received ${process.versions.node}; install a newer Node`)
  process.exit(1)
}
if (!existsSync(`${root}node_modules/cmake-js`)) {
  step('install npm packages', 'npm', ['ci', '--ignore-scripts'], 'check the registry that npm uses')
}
step('write native/core/opcodes.inc', process.execPath, ['scripts/gen-opcodes.mjs'], 'see the message above')
const cmakeJs = 'node_modules/cmake-js/bin/cmake-js'
const advice = 'it needs a C++20 compiler (g++ >= 12 or clang >= 15), CMake >= 3.20 and make or ninja'
const options = ['--CDALUDEL_ISAS=host', ...process.argv.slice(2)]
step('configure the native addon', process.execPath, [cmakeJs, 'configure', '--out', 'build', ...options], advice)
step('build the native addon', process.execPath, [cmakeJs, 'build', '--out', 'build'], advice)
const compile = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--incremental', '--tsBuildInfoFile', 'dist/.tsbuildinfo']
step('compile TypeScript', process.execPath, compile, 'see the errors above')
// npx makes the command executable once, when it first sees this folder, and not again when dist was made anew.
chmodSync(`${root}dist/cli/main.js`, 0o755)

const native = createRequire(import.meta.url)(addon)
const { isa, isas, cores } = native.info()
const cuda = native.surveyCuda()
console.log(`setup: ready. cpu: ${isa} (of ${isas.join(', ')}), ${cores} cores; cuda: ${cuda.built ? 'built' : cuda.reason}`)
