/**
 * @file `npm run build [-- --cuda | --cpu] [--kernels] [--jobs N] [--out DIR] [--isas LIST]`: the native addon with the kernels of all instruction
 * sets (or of those of the list), and TypeScript. The CUDA backend is built where nvcc is found; --cuda insists on it, --cpu leaves it out. A
 * CUDA kernel whose registers spill fails the build; --kernels prints what each of the kernels that were compiled takes.
 */
import { spawn, spawnSync } from 'node:child_process'
import { appendFileSync, chmodSync, existsSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { kernelsOf, spillsOf, tableOf } from './check-spills.mjs'
import { isMain, root } from './lib/files.mjs'

const usage = 'npm run build [-- --cuda | --cpu] [--kernels] [--jobs N] [--out DIR] [--isas LIST]'

function fail(message) {
  console.error(`build: ${message}`)
  process.exit(1)
}

function options() {
  const [flag, word] = [{ type: 'boolean' }, { type: 'string' }]
  const places = { out: { ...word, default: 'build' }, isas: { ...word, default: 'all' } }
  const known = { cuda: flag, cpu: flag, kernels: flag, jobs: word, ...places }
  let values
  try {
    values = parseArgs({ options: known }).values
  } catch (error) {
    fail(`${error.message}; usage: ${usage}`)
  }
  const jobs = values.jobs === undefined ? availableParallelism() : Number(values.jobs)
  if (values.cuda && values.cpu) fail(`expected --cuda or --cpu but received both; usage: ${usage}`)
  if (!Number.isInteger(jobs) || jobs < 1) fail(`--jobs: expected a whole number from 1 but received '${values.jobs}'`)
  return { ...values, jobs }
}

/** nvcc as CMake will look for it; undefined where there is none. */
export function nvcc() {
  const named = process.env.CUDACXX
  const places = [...(process.env.PATH ?? '').split(delimiter).filter(Boolean), '/usr/local/cuda/bin'].map((folder) => join(folder, 'nvcc'))
  return named ? (existsSync(named) ? named : undefined) : places.find((path) => existsSync(path))
}

/** A step whose output is shown as it comes and returned. */
function shown(command, args, env) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], env })
    let output = ''
    for (const [stream, target] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ])
      stream.on('data', (data) => {
        output += data
        // What ptxas says of several hundred kernels is for the table.
        target.write(String(data).replace(/^(?:ptxas info| {4}\d+ bytes stack).*\n/gm, ''))
      })
    child.on('error', (error) => resolve({ code: 1, output: String(error) }))
    child.on('close', (code) => resolve({ code: code ?? 1, output }))
  })
}

/** Objects that a build made: compiled again by the next one, so that what is wrong with them is said again. */
const objectsOf = (output, folder) => [...output.matchAll(/Building CUDA object (\S+\.o)\b/g)].map(([, path]) => join(folder, path))

async function buildAddon({ cuda, cpu, kernels, jobs, out, isas }) {
  const folder = resolve(root, out)
  const log = join(folder, 'cuda-kernels.log')
  const found = cpu ? undefined : nvcc()
  if (cuda && !found) {
    const where = process.env.CUDACXX ? `CUDACXX=${process.env.CUDACXX} is no file` : 'nvcc is neither on PATH nor in /usr/local/cuda/bin'
    fail(`--cuda: ${where}; install a CUDA toolkit (12.4 or later), set CUDACXX to its nvcc, or leave --cuda out`)
  }
  const kind = cpu ? 'OFF' : cuda ? 'ON' : 'AUTO'
  const env = { ...process.env, ...(found && { CUDACXX: found }) }
  if (!existsSync(join(folder, 'CMakeCache.txt'))) rmSync(log, { force: true })
  const cmakeJs = 'node_modules/cmake-js/bin/cmake-js'
  const configure = [cmakeJs, 'configure', '--out', folder, `--CDALUDEL_ISAS=${isas}`, `--CDALUDEL_CUDA=${kind}`]
  if ((await shown(process.execPath, configure, env)).code !== 0)
    fail(
      cuda
        ? 'the CUDA backend cannot be configured: see the lines above; nvcc needs a C++ compiler that it supports (CUDAHOSTCXX names one)'
        : 'CMake cannot configure the addon: see the lines above',
    )
  const { code, output } = await shown(process.execPath, [cmakeJs, 'build', '--out', folder, '--parallel', String(jobs)], env)
  if (code !== 0) fail('the addon does not compile: see the lines above')
  const compiled = kernelsOf(output)
  const spills = spillsOf(compiled)
  if (spills.length > 0) {
    for (const object of objectsOf(output, folder)) rmSync(object, { force: true })
    fail(`registers of CUDA kernels spill to memory:\n  ${spills.join('\n  ')}`)
  }
  if (compiled.length > 0) appendFileSync(log, output)
  if (kernels) console.log(existsSync(log) ? tableOf(kernelsOf(readFileSync(log, 'utf8'))) : 'build: no CUDA kernel was compiled')
}

function buildTypeScript() {
  const args = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--incremental', '--tsBuildInfoFile', 'dist/.tsbuildinfo']
  if (spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status !== 0) fail('TypeScript does not compile')
  chmodSync(join(root, 'dist/cli/main.js'), 0o755)
}

if (isMain(import.meta)) {
  await buildAddon(options())
  buildTypeScript()
}
