/**
 * @file `node scripts/gpu-bundle.mjs FILE.tar.xz`: packs what scripts/gpu-check.sh needs on a machine with a GPU and nothing else: the built package,
 * its tests and benches, the npm packages that they load, and node itself. Unpack it and run `scripts/gpu-check.sh` in it. Run after
 * `npm run build -- --cuda`; Linux.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { exists, root } from './lib/files.mjs'

const paths = [
  'dist',
  'src',
  'test',
  'bench',
  'scripts',
  'native',
  'CMakeLists.txt',
  'data',
  'package.json',
  'tsconfig.json',
  'vitest.config.ts',
]
const built = ['build/Release/aludel.node', 'build/cuda-kernels.log', 'build/linalg_bench', 'build/cases']
/** Of development: what tests load. The rest of the packages is `dependencies` without what builds. */
const roots = ['vitest', 'fast-check', 'ndarray', 'hyparquet']
const notNeeded = ['cmake-js', 'onnxruntime-node', 'typescript', 'playwright-core']

const packageJson = (path) => JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8'))

/** Folders of node_modules that `names`, asked for by the package in `from`, need; other packages' own ones lie in theirs. */
function collect(names, from, found) {
  for (const name of names) {
    if (notNeeded.includes(name)) continue
    const places = [join(from, 'node_modules', name), join('node_modules', name)]
    const path = places.find((place) => exists(`${place}/package.json`))
    if (path === undefined || found.has(path)) continue
    found.add(path)
    const { dependencies = {}, optionalDependencies = {}, peerDependencies = {} } = packageJson(path)
    collect([...Object.keys(dependencies), ...Object.keys(optionalDependencies), ...Object.keys(peerDependencies)], path, found)
  }
  return found
}

function fail(message) {
  console.error(`gpu-bundle: ${message}`)
  process.exit(1)
}

function main([file, ...more]) {
  if (file === undefined || more.length > 0 || !/\.tar\.(xz|gz)$/.test(file)) fail('expected the name of a .tar.xz or .tar.gz to write')
  const addon = join(root, 'build/Release/aludel.node')
  if (!existsSync(addon) || !createRequire(import.meta.url)(addon).surveyCuda().built)
    fail('build/Release/aludel.node has no CUDA backend; run `npm run build -- --cuda` first')
  const cases = spawnSync(process.execPath, ['scripts/run-cases.mjs', '--prepare'], { cwd: root, stdio: 'inherit' })
  if (cases.status !== 0) fail('the op cases cannot be compiled')
  mkdirSync(join(root, 'build'), { recursive: true })
  const staged = mkdtempSync(join(root, 'build', 'bundle-'))
  try {
    const folder = join(staged, 'aludel')
    const { dependencies } = packageJson('.')
    const packages = [...collect([...Object.keys(dependencies), ...roots], '.', new Set())]
    for (const path of [...paths, ...built.filter(exists), ...packages]) cpSync(join(root, path), join(folder, path), { recursive: true })
    // Records of other machines are read, not run.
    rmSync(join(folder, 'bench/records'), { recursive: true, force: true })
    mkdirSync(join(folder, 'bin'))
    copyFileSync(process.execPath, join(folder, 'bin/node'))
    chmodSync(join(folder, 'bin/node'), 0o755)
    const commit = spawnSync('git', ['describe', '--always', '--dirty'], { cwd: root, encoding: 'utf8' }).stdout?.trim()
    writeFileSync(join(folder, 'commit'), `${commit || 'unknown'}\n`)
    const target = resolve(file)
    mkdirSync(dirname(target), { recursive: true })
    const compress = file.endsWith('.xz') ? ['-I', 'xz -6 -T0', '-cf'] : ['-czf']
    if (spawnSync('tar', [...compress, target, '-C', staged, 'aludel'], { stdio: 'inherit' }).status !== 0) fail(`${target}: tar failed`)
    console.log(
      `${target}: ${(statSync(target).size / 2 ** 20).toFixed(1)} MiB, ${packages.length} packages; unpack it and run aludel/scripts/gpu-check.sh`,
    )
  } finally {
    rmSync(staged, { recursive: true, force: true })
  }
}

main(process.argv.slice(2))
